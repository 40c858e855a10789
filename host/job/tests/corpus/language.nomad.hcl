# What the language can do besides blocks.
variable "images" {
  description = "By name."
  type        = map(string)
  default     = { web = "web:1", db = "db:2" }
  validation {
    condition     = length(var.images) > 0
    error_message = "There must be an image."
  }
}

variables {
  replicas = 2
}

locals {
  names = sort(keys(var.images))
  upper = { for name in local.names : name => upper(name) if name != "none" }
  text = <<-EOT
    %{for name in local.names~}
    ${name} is ${local.upper[name]}
    %{endfor~}
    %{if var.replicas > 1}many%{else}one%{endif}
  EOT
}

job "spoken" {
  meta {
    first  = local.names[0]
    all    = join(",", values(local.upper)[*])
    text   = local.text
    escape = "$${NOMAD_ALLOC_ID} and %%{if}"
  }

  dynamic "group" {
    for_each = var.images
    iterator = image
    labels   = [image.key]
    content {
      count = image.key == "web" ? var.replicas : 1
      task "run" {
        driver = "docker"
        config {
          image = image.value
          args  = ["--id=${NOMAD_ALLOC_ID}", "--${env["HOME"]}"]
          dynamic "mount" {
            for_each = range(2)
            content {
              type   = "tmpfs"
              target = "/tmp/${mount.value}"
            }
          }
        }
        env = { for name in local.names : "IMAGE_${upper(name)}" => var.images[name] }
      }
    }
  }
}
