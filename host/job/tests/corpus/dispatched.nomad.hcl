# Started by request.
job "convert" {
  type = "batch"

  parameterized {
    payload       = "required"
    meta_required = ["format"]
    meta_optional = ["quality"]
  }

  group "convert" {
    task "convert" {
      driver = "raw_exec"
      config {
        command = "convert"
        args    = ["${NOMAD_TASK_DIR}/input", "${NOMAD_META_format}"]
      }
      dispatch_payload {
        file = "input"
      }
    }
  }
}
