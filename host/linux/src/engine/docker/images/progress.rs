//! How far a pull is, counted over the image's layers and told in Nomad's words.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, Instant},
};

use bollard::models::CreateImageInfo;

/// The layers of an image that is pulled, by id.
pub(super) struct Progress {
    begun: Instant,
    layers: BTreeMap<String, Layer>,
}

#[derive(Default)]
struct Layer {
    bytes: i64,
    total: i64,
    waits: bool,
    done: bool,
}

impl Progress {
    /// Of a pull that begins now.
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), layers: BTreeMap::new() }
    }

    /// Counts a line of the engine's.
    pub(super) fn take(&mut self, step: CreateImageInfo) {
        let (Some(id), Some(status)) = (step.id, step.status) else { return };
        if status.starts_with("Pulling from") {
            return;
        }
        let layer = self.layers.entry(id).or_default();
        layer.waits = status == "Waiting";
        layer.done = layer.done || status == "Pull complete" || status == "Already exists";
        if let Some(detail) = step.progress_detail.filter(|_| status == "Downloading") {
            layer.bytes = detail.current.unwrap_or(layer.bytes);
            layer.total = detail.total.unwrap_or(layer.total);
        }
        if status == "Download complete" || layer.done {
            layer.bytes = layer.total;
        }
    }

    /// Bytes that are here, and bytes of all layers whose size is known.
    pub(super) fn bytes(&self) -> (i64, i64) {
        self.layers.values().fold((0, 0), |(here, all), layer| (here + layer.bytes, all + layer.total))
    }

    /// How long the rest takes at the speed so far.
    fn rest(&self) -> Option<Duration> {
        let (here, all) = self.bytes();
        (here > 0).then(|| self.begun.elapsed().mul_f64(all.saturating_sub(here).max(0) as f64 / here as f64))
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.layers.is_empty() {
            return f.write_str("No progress");
        }
        let count = |of: fn(&Layer) -> bool| self.layers.values().filter(|layer| of(layer)).count();
        let (done, waiting) = (count(|layer| layer.done), count(|layer| layer.waits));
        let (all, (here, bytes)) = (self.layers.len(), self.bytes());
        write!(f, "Pulled {done}/{all} ({}/{})", size(here), size(bytes))?;
        write!(f, " layers: {waiting} waiting/{} pulling", all - done - waiting)?;
        match self.rest() {
            Some(rest) => write!(f, " - est {:.1}s remaining", rest.as_secs_f64()),
            None => Ok(()),
        }
    }
}

/// `12.3MiB`.
fn size(bytes: i64) -> String {
    let units = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.iter().find(|(bits, _)| bytes >= 1 << bits) {
        Some((bits, unit)) => format!("{:.1}{unit}", bytes as f64 / (1_u64 << bits) as f64),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    fn step(id: &str, status: &str, progress: Option<(i64, i64)>) -> CreateImageInfo {
        let detail = progress.map(|(current, total)| ProgressDetail { current: Some(current), total: Some(total) });
        CreateImageInfo {
            id: Some(id.into()),
            status: Some(status.into()),
            progress_detail: detail,
            ..CreateImageInfo::default()
        }
    }

    #[test]
    fn progress_is_told_as_nomad_does() {
        let mut progress = Progress::new();
        assert_eq!(progress.to_string(), "No progress");
        for (id, status) in [("latest", "Pulling from web"), ("a", "Waiting"), ("b", "Already exists"), ("b", "x")] {
            progress.take(step(id, status, None));
        }
        assert_eq!(progress.to_string(), "Pulled 1/2 (0B/0B) layers: 1 waiting/0 pulling");
        progress.begun = Instant::now() - Duration::from_secs(2);
        progress.take(step("a", "Downloading", Some((1 << 20, 3 << 20))));
        progress.take(step("c", "Downloading", Some((500, 500))));
        progress.take(step("c", "Pull complete", None));
        assert_eq!(progress.to_string(), "Pulled 2/3 (1.0MiB/3.0MiB) layers: 0 waiting/1 pulling - est 4.0s remaining");
        progress.take(step("a", "Download complete", None));
        assert_eq!(progress.bytes(), ((3 << 20) + 500, (3 << 20) + 500));
    }

    #[test]
    fn sizes_have_a_unit() {
        for (bytes, text) in
            [(0, "0B"), (1023, "1023B"), (1024, "1.0KiB"), (12_900_000, "12.3MiB"), (5 << 30, "5.0GiB")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}
