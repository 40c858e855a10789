# Names under which ports are found, and what looks after them.
job "found" {
  group "web" {
    network {
      port "http" {}
      port "grpc" {}
    }

    service {
      name                = "web"
      port                = "http"
      provider            = "consul"
      tags                = ["v1", "urlprefix-/"]
      canary_tags         = ["canary"]
      enable_tag_override = true
      address_mode        = "auto"
      address             = "${attr.unique.network.ip-address}"
      task                = "web"
      on_update           = "ignore_warnings"
      cluster             = "default"
      kind                = "api"
      meta {
        version = "1"
      }
      canary_meta {
        version = "2"
      }
      tagged_addresses {
        lan = "10.0.0.1"
      }
      weights {
        passing = 10
        warning = 1
      }
      identity {
        aud = ["consul.io"]
        ttl = "1h"
      }
      check {
        name            = "alive"
        type            = "http"
        protocol        = "https"
        method          = "POST"
        path            = "/health"
        port            = "http"
        address_mode    = "host"
        advertise       = "10.0.0.1"
        body            = "{}"
        interval        = "10s"
        timeout         = "2s"
        initial_status  = "passing"
        notes           = "says whether it lives"
        tls_server_name = "web.example.com"
        tls_skip_verify = true
        expose          = true
        on_update       = "ignore"

        success_before_passing   = 2
        failures_before_critical = 3
        failures_before_warning  = 1

        header {
          Authorization = ["Basic Zm9vOmJhcg=="]
        }
        check_restart {
          limit           = 3
          grace           = "30s"
          ignore_warnings = true
        }
      }
      check {
        type         = "grpc"
        port         = "grpc"
        grpc_service = "web.Health"
        grpc_use_tls = true
        interval     = "10s"
        timeout      = "2s"
      }
      check {
        type     = "script"
        task     = "web"
        command  = "/bin/check"
        args     = ["-v"]
        interval = "10s"
        timeout  = "2s"
      }
      check_restart {
        limit = 5
      }
    }

    task "web" {
      driver = "raw_exec"
      config {
        command = "serve"
      }
      service {
        name         = "web-of-task"
        port         = "http"
        address_mode = "driver"
        check {
          type     = "tcp"
          interval = "10s"
          timeout  = "2s"
        }
      }
    }
  }
}
