job "hungry" {
  type = "batch"
  group "g" {
    restart {
      attempts = 0
      mode     = "fail"
    }
    task "t" {
      driver = "exec"
      config {
        command = "/bin/tail"
        args    = ["/dev/zero"]
      }
      resources {
        cpu    = 500
        memory = 16
      }
    }
  }
}
