job "exec" {
  group "web" {
    network {
      port "http" {
        static = 8081
      }
    }
    task "httpd" {
      driver = "raw_exec"
      config {
        command = "/bin/sh"
        # Serves the CPU weight of its own cgroup.
        args = ["-c", "cat /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/cpu.weight > local/index.html; exec httpd -f -p 8081 -h local"]
      }
      resources {
        cpu    = 1000
        memory = 48
      }
    }
  }
}
