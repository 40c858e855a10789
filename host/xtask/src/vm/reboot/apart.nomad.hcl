job "apart" {
  group "web" {
    network {
      port "http" {
        static = 8083
      }
    }
    task "httpd" {
      driver = "exec"
      config {
        command = "/bin/sh"
        # The sleep leaves the task's session, and cannot leave its cgroup.
        args = ["-c", "setsid sleep 98765 & id -un > /local/index.html; exec httpd -f -p 8083 -h /local"]
      }
      resources {
        cpu        = 500
        memory     = 48
        memory_max = 64
      }
    }
  }
}
