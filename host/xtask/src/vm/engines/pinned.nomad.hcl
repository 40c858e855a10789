job "pinned-DRIVER" {
  group "g" {
    task "pinned" {
      driver = "DRIVER"
      config {
        image        = "IMAGE"
        command      = "sleep"
        args         = ["9999"]
        network_mode = "none"
      }
      resources {
        cores  = 1
        memory = 32
      }
      kill_signal = "SIGKILL"
    }
  }
}
