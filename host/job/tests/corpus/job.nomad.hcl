# Everything a job says of itself.
job "everything" {
  id          = "everything-else"
  name        = "Everything"
  type        = "service"
  datacenters = ["dc*", "eu-1"]
  region      = "global"
  namespace   = "default"
  node_pool   = "default"
  priority    = 60
  all_at_once = true

  meta = {
    "with.dots" = "yes"
    plain       = 1
  }

  constraint {
    attribute = "${attr.kernel.name}"
    operator  = "="
    value     = "linux"
  }
  constraint {
    attribute = "${attr.nomad.version}"
    version   = ">= 1.0, < 3.0"
  }
  constraint {
    attribute = "${attr.os.version}"
    semver    = "> 1.2.3"
  }
  constraint {
    attribute = "${node.unique.name}"
    regexp    = "^[a-z]+-[0-9]+$"
  }
  constraint {
    attribute    = "${meta.features}"
    set_contains = "ssd,gpu"
  }
  constraint {
    attribute        = "${meta.features}"
    set_contains_all = "ssd,gpu"
  }
  constraint {
    attribute        = "${meta.features}"
    set_contains_any = "ssd,gpu"
  }
  constraint {
    attribute = "${meta.rack}"
    is_set    = true
  }
  constraint {
    attribute  = "${meta.retired}"
    is_not_set = true
  }
  constraint {
    distinct_hosts = true
  }
  constraint {
    distinct_property = "${meta.rack}"
    value             = "2"
  }

  affinity {
    attribute = "${node.class}"
    operator  = "!="
    value     = "small"
    weight    = -50
  }
  affinity {
    attribute = "${attr.os.version}"
    version   = ">= 12"
  }
  affinity {
    attribute = "${attr.os.version}"
    semver    = ">= 12.0.0"
  }
  affinity {
    attribute = "${node.unique.name}"
    regexp    = "a.*"
  }
  affinity {
    attribute    = "${meta.features}"
    set_contains = "ssd"
  }
  affinity {
    attribute        = "${meta.features}"
    set_contains_all = "ssd,gpu"
  }
  affinity {
    attribute        = "${meta.features}"
    set_contains_any = "ssd,gpu"
  }

  spread {
    attribute = "${node.datacenter}"
    weight    = 100
    target "dc1" {
      percent = 70
    }
    target "dc2" {
      percent = 30
    }
  }

  update {
    stagger           = "31s"
    max_parallel      = 2
    health_check      = "task_states"
    min_healthy_time  = "11s"
    healthy_deadline  = "6m"
    progress_deadline = "11m"
    auto_revert       = true
    auto_promote      = true
    canary            = 1
  }
  reschedule {
    attempts       = 2
    interval       = "1h"
    delay          = "31s"
    delay_function = "fibonacci"
    max_delay      = "2h"
    unlimited      = false
  }
  migrate {
    max_parallel     = 2
    health_check     = "checks"
    min_healthy_time = "11s"
    healthy_deadline = "6m"
  }

  ui {
    description = "All that there *is*."
    link {
      label = "Docs"
      url   = "https://example.com/docs"
    }
  }

  group "one" {
    count = 3
    task "one" {
      driver = "raw_exec"
      config {
        command = "/bin/true"
      }
    }
  }
}
