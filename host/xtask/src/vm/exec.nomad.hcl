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
        # Serves the memory limit of its own cgroup.
        args = ["-c", "cat /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/memory.max > local/index.html; exec httpd -f -p 8081 -h local"]
      }
      resources {
        memory = 48
      }
    }
  }
}
