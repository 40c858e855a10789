"""A longshore task driver in Python: a task is a Python program, run as a process beside the agent."""

import json
from pathlib import PurePosixPath

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.about import Description, FingerprintResult, Health_Healthy
from wit_world.exports.lifecycle import TaskStatus
from wit_world.imports import processes
from wit_world.imports.longshore_driver_types import Started, StartError, Watch_Process
from wit_world.imports.longshore_host_types import Error_Timeout, Error_Unavailable, KeyValue, Limits
from wit_world.imports.processes import ProcessSpec

CONFIG_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["script"],
    "properties": {
        "script": {"type": "string", "description": "Program to run, below the task's directory or absolute."},
        "args": {"type": "array", "items": {"type": "string"}, "description": "Its arguments."},
        "interpreter": {"type": "string", "description": "Absent: python3."},
    },
}


class About(exports.About):
    def describe(self):
        return Description("python", "0.1.0", "Runs Python programs", "none", ["host"], [])

    def config_schema(self):
        return json.dumps(CONFIG_SCHEMA)

    def settings_schema(self):
        return json.dumps({"type": "object", "additionalProperties": False})

    def fingerprint(self):
        return FingerprintResult(Health_Healthy(), [KeyValue("driver.python", "1")])


class Lifecycle(exports.Lifecycle):
    def start(self, task):
        config = json.loads(task.config)
        script = PurePosixPath(task.directories.task) / config["script"]
        spec = ProcessSpec(
            name=task.identity.name,
            command=config.get("interpreter", "python3"),
            args=["-u", str(script), *config.get("args", [])],
            env=task.env,
            working_dir=None,
            user=task.user,
            limits=Limits(task.resources.cpu_mhz, 0, [], task.resources.memory_mib, 0, 0),
            isolation=None,
            options=[],
        )
        try:
            return started(processes.spawn(spec))
        except Err as error:
            recoverable = isinstance(error.value, (Error_Unavailable, Error_Timeout))
            raise Err(StartError(error.value, recoverable)) from None

    # An `Err` of the host that is not caught here is the call's error, as it is.

    def recover(self, task, handle):
        processes.inspect(handle.decode())
        return started(handle.decode())

    def stop(self, task, handle, request):
        processes.stop(handle.decode(), request.signal, request.grace_ms)

    def destroy(self, task, handle):
        for process in processes.list_own():
            processes.remove(process.id)

    def inspect(self, task, handle):
        process = processes.inspect(handle.decode())
        return TaskStatus(process.state, [KeyValue("pid", str(process.pid))])


def started(process_id):
    return Started(process_id.encode(), Watch_Process(process_id), None)
