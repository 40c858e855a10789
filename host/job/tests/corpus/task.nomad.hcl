# Everything a task says of itself.
job "tasked" {
  group "all" {
    task "main" {
      driver         = "docker"
      user           = "1000:1000"
      leader         = true
      kill_timeout   = "20s"
      kill_signal    = "SIGINT"
      shutdown_delay = "5s"
      kind           = "connect-proxy:web"

      config {
        image = "web:1"
        args  = ["--port", "${NOMAD_PORT_http}", "--dir=${NOMAD_TASK_DIR}"]
        labels {
          team = "a"
        }
        mount {
          type   = "tmpfs"
          target = "/scratch"
        }
        mount {
          type   = "bind"
          source = "local"
          target = "/data"
        }
      }
      env {
        PORT = 8080
        HOST = "${attr.unique.hostname}"
      }
      meta {
        part = "main"
      }
      constraint {
        attribute = "${attr.driver.docker}"
        value     = "1"
      }
      affinity {
        attribute = "${node.class}"
        value     = "big"
        weight    = 10
      }
      resources {
        cpu        = 500
        memory     = 256
        memory_max = 512
        secrets    = 2
        device "nvidia/gpu/1080ti" {
          count = 2
          constraint {
            attribute = "${device.attr.memory}"
            operator  = ">="
            value     = "2 GiB"
          }
          affinity {
            attribute = "${device.attr.memory}"
            operator  = ">="
            value     = "4 GiB"
            weight    = 75
          }
        }
        numa {
          affinity = "prefer"
          devices  = ["nvidia/gpu/1080ti"]
        }
      }
      restart {
        attempts = 1
        delay    = "1s"
      }
      logs {
        max_files     = 3
        max_file_size = 5
        disabled      = false
      }
      action "version" {
        command = "/bin/web"
        args    = ["--version"]
      }
      scaling "cpu" {
        enabled = true
        min     = 100
        max     = 1000
        policy {
          check "p" {
            strategy "app-sizing-percentile" {
              percentile = 95
            }
          }
        }
      }
      scaling "mem" {
        max = 512
      }
      schedule {
        cron {
          start    = "0 8 * * * *"
          end      = "0 18 * * *"
          timezone = "Europe/Berlin"
        }
      }
    }

    task "before" {
      driver = "raw_exec"
      config {
        command = "/bin/true"
      }
      lifecycle {
        hook    = "prestart"
        sidecar = false
      }
      resources {
        cores  = 1
        memory = 32
        iops   = 0
      }
      logs {
        enabled = false
      }
    }
  }
}
