# Everything a group says of itself.
job "grouped" {
  group "all" {
    count                        = 2
    shutdown_delay               = "3s"
    stop_after_client_disconnect = "1m"
    prevent_reschedule_on_lost   = true

    network {
      mode     = "bridge"
      device   = "eth0"
      cidr     = "10.0.0.0/8"
      ip       = "10.0.0.1"
      mbits    = 10
      hostname = "web-${NOMAD_ALLOC_INDEX}"
      port "http" {
        to           = 8080
        host_network = "public"
        protocol     = "tcp"
      }
      port "admin" {
        static = 9000
      }
      dns {
        servers  = ["10.0.0.53"]
        searches = ["example.com"]
        options  = ["ndots:2"]
      }
      cni {
        args = {
          "nomad.region" = "${node.region}"
        }
      }
    }

    meta {
      owner = "team-a"
    }
    constraint {
      attribute = "${attr.cpu.arch}"
      value     = "amd64"
    }
    affinity {
      attribute = "${node.class}"
      value     = "big"
      weight    = 20
    }
    spread {
      attribute = "${node.datacenter}"
    }
    update {
      max_parallel = 1
    }
    reschedule {
      unlimited = true
    }
    migrate {
      max_parallel = 1
    }
    disconnect {
      lost_after           = "6h"
      stop_on_client_after = "5m"
      replace              = true
      reconcile            = "best_score"
    }
    restart {
      attempts         = 4
      interval         = "10m"
      delay            = "20s"
      mode             = "delay"
      render_templates = true
    }
    ephemeral_disk {
      size    = 500
      sticky  = true
      migrate = true
    }
    scaling {
      enabled = true
      min     = 1
      max     = 5
      type    = "horizontal"
      policy {
        cooldown = "1m"
        check "load" {
          source = "prometheus"
          query  = "sum(load)"
          strategy "target-value" {
            target = 70
          }
        }
      }
    }

    task "web" {
      driver = "raw_exec"
      config {
        command = "serve"
        args    = ["${NOMAD_PORT_http}"]
      }
    }
  }

  group "collides" {
    max_client_disconnect = "1h"
    network {
      port "dns" {
        static           = 53
        ignore_collision = true
      }
    }
    task "dns" {
      driver = "raw_exec"
      config {
        command = "dns"
      }
    }
  }
}
