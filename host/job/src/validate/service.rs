//! Services and their checks, and what starts or scales a job.

use std::time::Duration;

use super::Report;
use crate::model::{Check, Job, Service, TaskGroup};

const SECOND: Duration = Duration::from_secs(1);

impl Report {
    pub(super) fn services(&mut self, group: &TaskGroup, at: &str) {
        let mut first: Option<&str> = None;
        let of_tasks = group.tasks.iter().enumerate();
        let places = std::iter::once((at.to_owned(), &group.services, true))
            .chain(of_tasks.map(|(index, task)| (format!("{at}/Tasks/{index}"), &task.services, false)));
        for (place, services, of_group) in places {
            for (index, service) in services.iter().enumerate() {
                let at = format!("{place}/Services/{index}");
                self.service(service, group, of_group, &at);
                if *first.get_or_insert(&service.provider) != service.provider {
                    let summary = "Multiple service providers used: task group services must use the same provider";
                    self.error(format!("{at}/Provider"), summary);
                }
            }
        }
    }

    fn service(&mut self, service: &Service, group: &TaskGroup, of_group: bool, at: &str) {
        let name = &service.name;
        if !name.contains("${") && !is_service_name(name) {
            self.error(
                format!("{at}/Name"),
                format!(
                    "Service name must be valid per RFC 1123 and can contain only alphanumeric characters or dashes \
                     and must be no longer than 63 characters: {name:?}"
                ),
            );
        }
        if !["consul", "nomad"].contains(&service.provider.as_str()) {
            let provider = &service.provider;
            let summary = format!("Service provider must be \"consul\", or \"nomad\"; not {provider:?}");
            self.error(format!("{at}/Provider"), summary);
        }
        self.port(&service.port_label, name, group, &format!("{at}/PortLabel"));
        let mode = service.address_mode.as_str();
        let allowed: &[&str] = match of_group {
            true => &["auto", "host", "alloc", "alloc_ipv6"],
            false => &["auto", "host", "driver"],
        };
        if !allowed.contains(&mode) {
            let place = if of_group { "group" } else { "task" };
            let summary = format!(
                "service {name:?} cannot use address_mode={mode:?}; in a {place} it is one of {}",
                allowed.join(", ")
            );
            self.error(format!("{at}/AddressMode"), summary);
        }
        if mode != "auto" && !service.address.is_empty() {
            self.error(format!("{at}/Address"), "Service address_mode must be \"auto\" if address is set");
        }
        if service.provider == "nomad" && service.connect.is_some() {
            self.error(format!("{at}/Connect"), "Service with provider nomad cannot include Connect blocks");
        }
        for (index, check) in service.checks.iter().enumerate() {
            self.check(check, service, group, &format!("{at}/Checks/{index}"));
        }
    }

    /// A label of the group's or of a task's network, or a number.
    fn port(&mut self, label: &str, service: &str, group: &TaskGroup, at: &str) {
        let of_tasks = group.tasks.iter().flat_map(|task| &task.resources.networks);
        let known = group.networks.iter().chain(of_tasks).flat_map(|network| network.ports());
        let is_number = label.parse::<u16>().is_ok();
        let is_known = known.into_iter().any(|port| port.label == label);
        if !label.is_empty() && !label.contains("${") && !is_number && !is_known {
            self.error(at, format!("port label {label:?} referenced by services {service} does not exist"));
        }
    }

    fn check(&mut self, check: &Check, service: &Service, group: &TaskGroup, at: &str) {
        let kinds: &[&str] = match service.provider.as_str() {
            "nomad" => &["tcp", "http"],
            _ => &["tcp", "http", "grpc", "script"],
        };
        if !kinds.contains(&check.kind.as_str()) {
            let summary = format!("invalid check type ({:?}), must be one of {}", check.kind, kinds.join(", "));
            self.error(format!("{at}/Type"), summary);
        }
        if check.kind == "http" && (check.path.is_empty() || check.path.contains("://")) {
            self.error(format!("{at}/Path"), "http type must have relative http path");
        }
        if check.kind == "script" && check.command.is_empty() {
            self.error(format!("{at}/Command"), "script type must have a valid script path");
        }
        for (name, given, lowest) in [
            ("interval", check.interval, "missing required value interval. Interval cannot be less than 1s"),
            ("timeout", check.timeout, "missing required value timeout. Timeout cannot be less than 1s"),
        ] {
            if given < SECOND {
                self.error(at, format!("{lowest} ({name} is {})", crate::model::format_duration(given)));
            }
        }
        let needs_port = ["tcp", "http", "grpc"].contains(&check.kind.as_str());
        if needs_port && check.port_label.is_empty() && service.port_label.is_empty() {
            let name = &service.name;
            let summary = format!("check requires a port but neither check nor service {name:?} have a port");
            self.error(at, summary);
        }
        self.port(&check.port_label, &service.name, group, &format!("{at}/PortLabel"));
    }

    /// Only jobs that end are started by the clock, or by request.
    pub(super) fn started_by(&mut self, job: &Job) {
        if let Some(periodic) = &job.periodic {
            if !job.kind.ends_on_success() {
                self.error("/Periodic", "Periodic can only be used with \"batch\" or \"sysbatch\" scheduler");
            }
            match (periodic.spec.is_empty(), periodic.specs.is_empty()) {
                (true, true) => self.error("/Periodic", "Must specify a spec"),
                (false, false) => self.error("/Periodic", "Only cron or crons may be used"),
                _ => {}
            }
            let specs = std::iter::once(&periodic.spec).chain(&periodic.specs).filter(|spec| !spec.is_empty());
            for spec in specs {
                if let Err(why) = super::cron::check(spec) {
                    self.error("/Periodic", format!("Invalid cron spec {spec:?}: {why}"));
                }
            }
            let zone = &periodic.time_zone;
            if !zone.split('/').all(is_zone_part) {
                self.error("/Periodic/TimeZone", format!("Invalid time zone {zone:?}: unknown time zone {zone}"));
            }
        }
        if job.parameterized_job.is_some() && !job.kind.ends_on_success() {
            let summary = "Parameterized job can only be used with \"batch\" or \"sysbatch\" scheduler";
            self.error("/ParameterizedJob", summary);
        }
    }

    pub(super) fn scaling(&mut self, group: &TaskGroup, at: &str) {
        let Some(scaling) = &group.scaling else { return };
        let count = i64::from(group.count);
        let at = format!("{at}/Scaling");
        if scaling.max.zip(scaling.min).is_some_and(|(max, min)| max < min) {
            self.error(
                format!("{at}/Max"),
                "Scaling policy invalid: maximum count must not be less than minimum count",
            );
        }
        if scaling.max.is_some_and(|max| count > max) {
            self.error(
                format!("{at}/Max"),
                "Scaling policy invalid: task group count must not be greater than maximum count in scaling policy",
            );
        }
        if scaling.min.is_some_and(|min| count < min) {
            self.error(
                format!("{at}/Min"),
                "Scaling policy invalid: task group count must not be less than minimum count in scaling policy",
            );
        }
    }
}

/// `Europe`, `Port-au-Prince`, `GMT+5`: whether there is such a place, the machine's own tables know.
fn is_zone_part(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
}

/// Letters, digits and dashes, no dash at either end, at most 63.
fn is_service_name(name: &str) -> bool {
    let inner = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (1..=63).contains(&name.len()) && inner && !name.starts_with('-') && !name.ends_with('-')
}
