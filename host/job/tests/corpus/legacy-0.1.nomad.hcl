# As Nomad 0.1 read it.
job "binstore" {
  datacenters = ["dc1"]
  region      = "global"
  constraint {
    attribute = "$attr.kernel.name"
    value     = "linux"
  }
  group "binsl" {
    count = "2"
    task "binstore" {
      driver = "docker"
      config {
        image = "example/binstore:1"
      }
      resources {
        cpu    = "500"
        memory = "128"
        disk   = 300
        network {
          mbits          = "100"
          reserved_ports = [1, 2, 3]
          dynamic_ports  = ["http", "https", "admin", "6379"]
        }
      }
    }
    constraint {
      attribute = "kernel.os"
      regexp    = "windows|linux"
    }
  }
  task "outside" {
    driver = "exec"
    config {
      command = "/bin/true"
    }
    resources {
      network {
        dynamic_ports = [6379]
      }
    }
  }
}
