# What speaks of Vault, Consul and identities.
job "secret" {
  vault {
    role = "job"
  }
  secret "shared" {
    provider = "nomad"
    path     = "secret/shared"
  }

  group "web" {
    vault {
      role = "group"
    }
    consul {
      namespace = "team-a"
      cluster   = "default"
      partition = "eu"
    }
    secret "grouped" {
      provider = "nomad"
      path     = "secret/grouped"
    }

    task "web" {
      driver = "raw_exec"
      config {
        command = "serve"
      }
      vault {
        policies               = ["web"]
        role                   = "web"
        namespace              = "team-a"
        cluster                = "default"
        env                    = true
        disable_file           = true
        change_mode            = "signal"
        change_signal          = "SIGHUP"
        allow_token_expiration = true
      }
      consul {
        namespace = "team-b"
      }
      identity {
        env  = true
        file = true
      }
      identity {
        name          = "other"
        aud           = ["example.com"]
        change_mode   = "signal"
        change_signal = "SIGHUP"
        filepath      = "secrets/other.jwt"
        service_name  = "web"
        ttl           = "1h"
        extra_claims  = ["a=b"]
      }
      secret "own" {
        provider = "vault"
        path     = "secret/data/web"
        config {
          engine = "kv_v2"
        }
        env {
          TOKEN = "a"
        }
      }
    }
  }
}
