// A longshore task driver in C: a task is a shell script, run as a process beside the agent.
//
// What each function promises is in wit/driver/*.wit; the names come from there, by wit-bindgen.

#include "driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What each export uses under a shorter name.
typedef exports_longshore_driver_lifecycle_task_t task_t;
typedef exports_longshore_driver_lifecycle_task_ref_t task_ref_t;
typedef exports_longshore_driver_lifecycle_started_t started_t;
typedef exports_longshore_driver_lifecycle_start_error_t start_error_t;
typedef exports_longshore_driver_lifecycle_stop_request_t stop_request_t;
typedef exports_longshore_driver_lifecycle_task_status_t task_status_t;
typedef exports_longshore_driver_lifecycle_error_t error_t;

static const char CONFIG_SCHEMA[] =
    "{\"type\": \"object\", \"additionalProperties\": false, \"required\": [\"script\"], \"properties\": {"
    "\"script\": {\"type\": \"string\", \"pattern\": \"^[^\\\"\\\\\\\\]+$\","
    " \"description\": \"Script to run, below the task's directory or absolute.\"}}}";
static const char SETTINGS_SCHEMA[] = "{\"type\": \"object\", \"additionalProperties\": false}";

// --- about -----------------------------------------------------------------------------------------------

void exports_longshore_driver_about_describe(exports_longshore_driver_about_description_t *ret) {
    memset(ret, 0, sizeof *ret);
    driver_string_dup(&ret->name, "shell_c");
    driver_string_dup(&ret->version, "0.1.0");
    driver_string_dup(&ret->summary, "Runs shell scripts");
    driver_string_dup(&ret->filesystem, "none");
    ret->network_modes.len = 1;
    ret->network_modes.ptr = malloc(sizeof *ret->network_modes.ptr);
    driver_string_dup(&ret->network_modes.ptr[0], "host");
}

void exports_longshore_driver_about_config_schema(driver_string_t *ret) { driver_string_dup(ret, CONFIG_SCHEMA); }

void exports_longshore_driver_about_settings_schema(driver_string_t *ret) { driver_string_dup(ret, SETTINGS_SCHEMA); }

void exports_longshore_driver_about_fingerprint(exports_longshore_driver_about_fingerprint_result_t *ret) {
    ret->health.tag = EXPORTS_LONGSHORE_DRIVER_ABOUT_HEALTH_HEALTHY;
    ret->attributes.len = 1;
    ret->attributes.ptr = malloc(sizeof *ret->attributes.ptr);
    driver_string_dup(&ret->attributes.ptr[0].key, "driver.shell_c");
    driver_string_dup(&ret->attributes.ptr[0].value, "1");
}

// --- lifecycle -------------------------------------------------------------------------------------------

// The value of "script" in the config. The host has checked the config against the schema, which allows no
// escapes, so it ends at the next quote.
static bool script_of(driver_string_t config, driver_string_t *script) {
    char *text = strndup((char *)config.ptr, config.len);
    char *key = strstr(text, "\"script\"");
    char *start = key ? strchr(key + strlen("\"script\""), '"') : NULL;
    char *end = start ? strchr(start + 1, '"') : NULL;
    if (end) {
        *end = '\0';
        driver_string_dup(script, start + 1);
    }
    return end != NULL;
}

// The handle is the id of the process.
static driver_string_t id_of(driver_list_u8_t *handle) {
    return (driver_string_t){.ptr = handle->ptr, .len = handle->len};
}

static void started(driver_string_t id, started_t *ret) {
    memset(ret, 0, sizeof *ret);
    driver_string_dup_n(&ret->watch.val.process, (char *)id.ptr, id.len);
    ret->watch.tag = LONGSHORE_DRIVER_TYPES_WATCH_PROCESS;
    ret->handle.len = id.len;
    ret->handle.ptr = malloc(id.len);
    memcpy(ret->handle.ptr, id.ptr, id.len);
}

bool exports_longshore_driver_lifecycle_start(task_t *task, started_t *ret, start_error_t *err) {
    longshore_host_processes_process_spec_t spec = {.name = task->identity.name, .user = task->user};
    driver_string_t arguments[1];
    if (!script_of(task->config, &arguments[0])) {
        err->reason.tag = LONGSHORE_HOST_TYPES_ERROR_INVALID;
        err->recoverable = false;
        driver_string_dup(&err->reason.val.invalid, "config.script is not a plain string");
        return false;
    }
    driver_string_set(&spec.command, "/bin/sh");
    spec.args.ptr = arguments;
    spec.args.len = 1;
    spec.env.ptr = task->env.ptr;
    spec.env.len = task->env.len;
    spec.limits.cpu_mhz = task->resources.cpu_mhz;
    spec.limits.memory_mib = task->resources.memory_mib;

    driver_string_t id;
    if (!longshore_host_processes_spawn(&spec, &id, &err->reason)) {
        err->recoverable = err->reason.tag == LONGSHORE_HOST_TYPES_ERROR_UNAVAILABLE;
        return false;
    }
    started(id, ret);
    return true;
}

bool exports_longshore_driver_lifecycle_recover(task_t *task, driver_list_u8_t *handle, started_t *ret, error_t *err) {
    driver_string_t id = id_of(handle);
    longshore_host_processes_process_t process;
    if (!longshore_host_processes_inspect(&id, &process, err)) return false;
    started(id, ret);
    return true;
}

bool exports_longshore_driver_lifecycle_stop(task_ref_t *task, driver_list_u8_t *handle, stop_request_t *request,
                                             error_t *err) {
    driver_string_t id = id_of(handle);
    driver_string_t *signal = request->signal.is_some ? &request->signal.val : NULL;
    return longshore_host_processes_stop(&id, signal, request->grace_ms, err);
}

bool exports_longshore_driver_lifecycle_destroy(task_ref_t *task, driver_list_u8_t *maybe_handle, error_t *err) {
    longshore_host_processes_list_process_t own;
    if (!longshore_host_processes_list_own(&own, err)) return false;
    bool all = true;
    for (size_t i = 0; i < own.len; i++) all &= longshore_host_processes_remove(&own.ptr[i].id, err);
    return all;
}

bool exports_longshore_driver_lifecycle_inspect(task_ref_t *task, driver_list_u8_t *handle, task_status_t *ret,
                                                error_t *err) {
    driver_string_t id = id_of(handle);
    longshore_host_processes_process_t process;
    if (!longshore_host_processes_inspect(&id, &process, err)) return false;
    char pid[16];
    snprintf(pid, sizeof pid, "%u", (unsigned)process.pid);
    ret->state = process.state;
    ret->attributes.len = 1;
    ret->attributes.ptr = malloc(sizeof *ret->attributes.ptr);
    driver_string_dup(&ret->attributes.ptr[0].key, "pid");
    driver_string_dup(&ret->attributes.ptr[0].value, pid);
    return true;
}
