# The same with the one schedule that older versions know.
job "hourly" {
  type = "sysbatch"
  periodic {
    cron = "0 * * * *"
  }
  group "work" {
    task "work" {
      driver = "raw_exec"
      config {
        command = "/bin/true"
      }
    }
  }
}
