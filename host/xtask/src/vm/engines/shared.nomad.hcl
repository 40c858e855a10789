job "shared-DRIVER" {
  group "g" {
    task "shared" {
      driver = "DRIVER"
      config {
        image          = "IMAGE"
        command        = "sh"
        args           = ["-c", "while :; do i=$((i + 1)); [ $((i % 5000)) -gt 0 ] || sleep 1; done"]
        network_mode   = "none"
        cpu_hard_limit = true
      }
      resources {
        cpu        = 500
        memory     = 48
        memory_max = 64
      }
      kill_signal = "SIGKILL"
    }
  }
}
