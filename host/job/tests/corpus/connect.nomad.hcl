# Consul's mesh.
job "meshed" {
  group "web" {
    network {
      mode = "bridge"
    }
    service {
      name = "web"
      port = "9090"
      connect {
        sidecar_service {
          tags                      = ["proxy"]
          port                      = "20000"
          disable_default_tcp_check = true
          meta {
            a = "b"
          }
          proxy {
            local_service_address = "127.0.0.1"
            local_service_port    = 9090
            config {
              protocol = "http"
            }
            expose {
              path {
                path            = "/metrics"
                protocol        = "http"
                local_path_port = 9091
                listener_port   = "metrics"
              }
            }
            upstreams {
              destination_name       = "db"
              destination_namespace  = "default"
              destination_peer       = "eu"
              destination_partition  = "p"
              destination_type       = "service"
              local_bind_port        = 5432
              datacenter             = "dc1"
              local_bind_address     = "127.0.0.1"
              local_bind_socket_path = "/run/db.sock"
              local_bind_socket_mode = "0600"
              mesh_gateway {
                mode = "local"
              }
              config {
                connect_timeout_ms = 1000
              }
            }
            transparent_proxy {
              uid                    = "101"
              outbound_port          = 15001
              exclude_inbound_ports  = ["metrics"]
              exclude_outbound_ports = [443]
              exclude_outbound_cidrs = ["10.0.0.0/8"]
              exclude_uids           = ["0"]
              no_dns                 = true
            }
          }
        }
        sidecar_task {
          name           = "proxy"
          driver         = "docker"
          user           = "envoy"
          kill_timeout   = "5s"
          shutdown_delay = "1s"
          kill_signal    = "SIGTERM"
          config {
            image = "envoy:1"
          }
          env {
            A = "b"
          }
          meta {
            a = "b"
          }
          resources {
            cpu    = 100
            memory = 64
          }
          logs {
            max_files = 2
          }
          volume_mount {
            volume      = "v"
            destination = "/v"
          }
          identity {
            env = true
          }
        }
      }
    }
    service {
      name = "native"
      port = "9091"
      connect {
        native = true
      }
    }
    task "web" {
      driver = "docker"
      config {
        image = "web:1"
      }
    }
  }

  group "gateways" {
    network {
      mode = "bridge"
    }
    service {
      name = "ingress"
      port = "8080"
      connect {
        gateway {
          proxy {
            connect_timeout                     = "500ms"
            envoy_gateway_bind_tagged_addresses = true
            envoy_gateway_no_default_bind       = true
            envoy_dns_discovery_type            = "LOGICAL_DNS"
            envoy_gateway_bind_addresses "web" {
              address = "10.0.0.1"
              port    = 8080
            }
            config {
              a = "b"
            }
          }
          ingress {
            tls {
              enabled         = true
              tls_min_version = "TLSv1_2"
              tls_max_version = "TLSv1_3"
              cipher_suites   = ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]
              sds {
                cluster_name  = "sds"
                cert_resource = "cert"
              }
            }
            listener {
              port     = 8080
              protocol = "http"
              service {
                name                    = "web"
                hosts                   = ["web.example.com"]
                max_connections         = 1
                max_pending_requests    = 2
                max_concurrent_requests = 3
                tls {
                  sds {
                    cert_resource = "cert"
                  }
                }
                request_headers {
                  remove = ["x"]
                  add {
                    a = "b"
                  }
                  set {
                    a = "b"
                  }
                }
                response_headers {
                  remove = ["x"]
                  add {
                    a = "b"
                  }
                  set {
                    a = "b"
                  }
                }
              }
            }
          }
        }
      }
    }
    service {
      name = "terminating"
      port = "8081"
      connect {
        gateway {
          terminating {
            service {
              name      = "db"
              ca_file   = "/ca.pem"
              cert_file = "/cert.pem"
              key_file  = "/key.pem"
              sni       = "db.example.com"
            }
          }
        }
      }
    }
    service {
      name = "mesh"
      port = "8082"
      connect {
        gateway {
          mesh {}
        }
      }
    }
    task "none" {
      driver = "docker"
      config {
        image = "web:1"
      }
    }
  }
}
