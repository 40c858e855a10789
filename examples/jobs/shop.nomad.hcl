# What the language can do: variables with rules, locals, for expressions, functions, dynamic blocks, and a group of
# several tasks that start in order.
#
#   longshore job validate -var 'shops={north={port=0,replicas=2}}' examples/jobs/shop.nomad.hcl

variable "shops" {
  description = "One group per shop; port 0 lets the host choose."
  type        = map(object({ port = number, replicas = number }))
  default = {
    north = { port = 0, replicas = 1 }
    south = { port = 8081, replicas = 1 }
  }

  validation {
    condition     = length(var.shops) > 0
    error_message = "At least one shop is needed."
  }
}

variable "stage" {
  type    = string
  default = "test"

  validation {
    condition     = contains(["test", "live"], var.stage)
    error_message = "The stage is either test or live."
  }
}

locals {
  greeting = title("welcome to the ${var.stage} shop")
  names    = [for name, shop in var.shops : name if shop.replicas > 0]
  settings = merge({ STAGE = var.stage }, { for name in local.names : "SHOP_${upper(name)}" => "open" })
  memory   = var.stage == "live" ? 64 : 16
}

job "shop" {
  type        = "service"
  datacenters = ["*"]

  meta {
    shops = join(",", local.names)
  }

  constraint {
    attribute = "${attr.kernel.name}"
    value     = "linux"
  }

  dynamic "group" {
    for_each = var.shops
    labels   = [group.key]

    content {
      count = group.value.replicas

      network {
        port "http" {
          static = group.value.port
        }
      }

      restart {
        attempts = 3
        interval = "5m"
        delay    = "5s"
        mode     = "delay"
      }

      task "prepare" {
        driver = "raw_exec"

        lifecycle {
          hook    = "prestart"
          sidecar = false
        }

        config {
          command = "/bin/sh"
          args    = ["-c", "echo ${local.greeting} > $NOMAD_ALLOC_DIR/index.html"]
        }

        logs {
          max_files = 2
        }
      }

      task "serve" {
        driver = "raw_exec"
        leader = true
        env    = local.settings

        config {
          command = "/bin/busybox"
          args    = ["httpd", "-f", "-p", "${NOMAD_PORT_http}", "-h", "${NOMAD_ALLOC_DIR}"]
        }

        resources {
          cpu    = 100
          memory = local.memory
        }
      }
    }
  }
}
