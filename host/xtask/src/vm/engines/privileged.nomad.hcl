job "privileged" {
  group "g" {
    task "privileged" {
      driver = "docker"
      config {
        image   = "busybox:1"
        command = "sh"
        # Says its capabilities, mounts something and reads from the machine's disk.
        args = ["-c", "grep CapEff /proc/1/status; mount -t tmpfs x /mnt && echo mounted; head -c 4 /dev/vda | wc -c; sleep 999"]

        network_mode = "none"
        privileged   = true
      }
      kill_signal = "SIGKILL"
    }
  }
}
