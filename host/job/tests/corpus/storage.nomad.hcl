# Volumes of the machine and of elsewhere.
job "stored" {
  group "db" {
    volume "data" {
      type            = "csi"
      source          = "db-data"
      read_only       = true
      access_mode     = "single-node-writer"
      attachment_mode = "file-system"
      per_alloc       = true
      mount_options {
        fs_type     = "ext4"
        mount_flags = ["noatime"]
      }
    }
    volume "logs" {
      type   = "host"
      source = "logs"
      sticky = true
    }
    task "db" {
      driver = "docker"
      config {
        image = "db:1"
      }
      volume_mount {
        volume           = "data"
        destination      = "/var/lib/db"
        read_only        = true
        propagation_mode = "host-to-task"
        selinux_label    = "Z"
      }
    }
    task "plugin" {
      driver = "docker"
      config {
        image = "csi-plugin:1"
      }
      csi_plugin {
        id                     = "ebs"
        type                   = "monolith"
        mount_dir              = "/csi"
        stage_publish_base_dir = "/local/csi"
        health_timeout         = "1m"
      }
    }
  }
}
