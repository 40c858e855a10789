# Started by the clock.
job "nightly" {
  type = "batch"

  periodic {
    enabled          = true
    crons            = ["*/15 * * * *", "@daily"]
    prohibit_overlap = true
    time_zone        = "Europe/Berlin"
  }

  group "work" {
    max_run_duration = "2h"
    task "work" {
      driver = "raw_exec"
      config {
        command = "/bin/true"
      }
    }
  }
}
