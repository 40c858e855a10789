job "component" {
  group "web" {
    network {
      port "http" {
        static = 8082
      }
    }
    task "hello" {
      driver = "wasm"
      config {
        component = "/jobs/hello.wasm"
        kind      = "http"
        listen    = "http"
      }
    }
  }
}
