# One job for several clusters.
job "everywhere" {
  multiregion {
    strategy {
      max_parallel = 1
      on_failure   = "fail_all"
    }
    region "eu" {
      count       = 2
      datacenters = ["eu-1"]
      node_pool   = "default"
      meta {
        a = "b"
      }
    }
  }
  group "web" {
    task "web" {
      driver = "raw_exec"
      config {
        command = "serve"
      }
    }
  }
}
