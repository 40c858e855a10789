# A task without root and without Docker: a WebAssembly component that answers HTTP.
#
#   longshore job run examples/jobs/hello.nomad.hcl

variable "component" {
  type        = string
  description = "A component that exports wasi:http/incoming-handler."
  default     = "target/longshore/hello.wasm"
}

job "hello" {
  group "hello" {
    network {
      port "http" {}
    }

    task "hello" {
      driver = "wasm"

      config {
        component = var.component
        kind      = "http"
        listen    = "http"
      }

      resources {
        cpu    = 50
        memory = 64
      }
    }
  }
}
