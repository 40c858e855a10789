# Files that are there before a task starts.
job "filed" {
  group "web" {
    task "web" {
      driver = "raw_exec"
      config {
        command = "local/web"
      }
      artifact {
        source      = "https://example.com/web.tar.gz"
        destination = "local/"
        mode        = "any"
        insecure    = false
        chown       = true
        options {
          checksum = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        }
        headers {
          Authorization = "Bearer ${NOMAD_META_token}"
        }
      }
      template {
        data = <<EOF
[[ range nomadService "db" ]]
server [[ .Address ]]:[[ .Port ]];
[[ end ]]
EOF
        destination          = "local/web.conf"
        change_mode          = "signal"
        change_signal        = "SIGHUP"
        splay                = "1s"
        perms                = "0600"
        uid                  = 1000
        gid                  = 1000
        left_delimiter       = "[["
        right_delimiter      = "]]"
        error_on_missing_key = true
        once                 = false
        vault_grace          = "5s"
        wait {
          min = "2s"
          max = "1m"
        }
      }
      template {
        source      = "local/env.tpl"
        destination = "secrets/env"
        env         = true
        change_mode = "script"
        change_script {
          command             = "/bin/reload"
          args                = ["-f"]
          timeout             = "10s"
          fail_on_error       = true
          run_on_first_render = true
        }
      }
    }
  }
}
