# A plain process of the host: a shell that says what time it is.
#
#   longshore job run examples/jobs/raw-exec.nomad.hcl
#   longshore alloc logs -f <id>

job "clock" {
  group "clock" {
    task "tick" {
      driver = "raw_exec"

      config {
        command = "/bin/sh"
        args    = ["-c", "while true; do echo \"$NOMAD_ALLOC_ID $(date)\"; sleep \"$PAUSE\"; done"]
      }

      env {
        PAUSE = 1
      }

      kill_signal  = "SIGTERM"
      kill_timeout = "2s"

      logs {
        max_files     = 3
        max_file_size = 1
      }

      resources {
        cpu    = 20
        memory = 10
      }
    }
  }
}
