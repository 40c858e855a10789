job "hungry-DRIVER" {
  type = "batch"
  group "g" {
    restart {
      attempts = 0
      mode     = "fail"
    }
    task "hungry" {
      driver = "DRIVER"
      config {
        image        = "IMAGE"
        command      = "tail"
        args         = ["/dev/zero"]
        network_mode = "none"
      }
      resources {
        cpu    = 500
        memory = 16
      }
    }
  }
}
