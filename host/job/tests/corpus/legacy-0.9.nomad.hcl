# As Nomad read it until 0.12: each task has a network, Docker maps its ports.
job "redis" {
  datacenters = ["dc1"]
  update {
    stagger      = "10s"
    max_parallel = 1
  }
  group "cache" {
    count = 1
    task "redis" {
      driver = "docker"
      config {
        image = "redis:3.2"
        port_map {
          db = 6379
        }
      }
      resources {
        cpu    = 500
        memory = 256
        network {
          mbits = 10
          port "db" {}
          port "admin" {
            static = 9121
          }
        }
      }
    }
    task "exporter" {
      driver = "docker"
      config {
        image = "exporter:1"
        port_map = {
          metrics = 9122
        }
      }
      resources {
        network {
          mbits = 1
          port "metrics" {}
        }
      }
    }
  }
}
