# A container with a mapped port: busybox serves a page on 8080, the host answers on a port of its choice.
#
#   longshore job run -var image=busybox:1.37 examples/jobs/web-docker.nomad.hcl

variable "image" {
  type        = string
  description = "An image with busybox in it."
  default     = "busybox:1.37"
}

locals {
  serve = <<-EOF
    echo "hello from $NOMAD_JOB_NAME, allocation $NOMAD_ALLOC_ID" > "$NOMAD_TASK_DIR/index.html"
    exec /bin/busybox httpd -f -v -p 8080 -h "$NOMAD_TASK_DIR"
  EOF
}

job "web-docker" {
  group "web" {
    network {
      port "http" {
        to = 8080
      }
    }

    task "httpd" {
      driver = "docker"

      config {
        image   = var.image
        command = "/bin/busybox"
        args    = ["sh", "-c", local.serve]
        ports   = ["http"]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
