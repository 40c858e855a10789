//! Schedules: five fields, with a year six, with seconds before them seven.

use std::ops::RangeInclusive;

/// Names for whole schedules.
const NAMED: [&str; 7] = ["@annually", "@yearly", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A field: what it is called, its numbers, names for them and the number of the first name.
struct Field {
    name: &'static str,
    range: RangeInclusive<u32>,
    names: &'static [&'static str],
    first: u32,
}

const fn field(name: &'static str, from: u32, to: u32) -> Field {
    Field { name, range: from..=to, names: &[], first: 0 }
}

/// As they stand in a schedule of seven.
const FIELDS: [Field; 7] = [
    field("second", 0, 59),
    field("minute", 0, 59),
    field("hour", 0, 23),
    field("day of month", 1, 31),
    Field { names: &MONTHS, first: 1, ..field("month", 1, 12) },
    Field { names: &DAYS, ..field("day of week", 0, 7) },
    field("year", 1970, 2099),
];

/// Whether a schedule can be understood; else why not.
pub fn check(spec: &str) -> Result<(), String> {
    let spec = spec.trim();
    if spec.starts_with('@') {
        let known = NAMED.contains(&spec);
        return if known { Ok(()) } else { Err(format!("{spec:?} is none of {}", NAMED.join(", "))) };
    }
    let parts: Vec<&str> = spec.split_whitespace().collect();
    let first = match parts.len() {
        5 | 6 => 1,
        7 => 0,
        count => return Err(format!("it has {count} fields, and not 5 to 7")),
    };
    FIELDS[first..].iter().zip(parts).try_for_each(|(field, part)| field.check(part))
}

impl Field {
    fn check(&self, text: &str) -> Result<(), String> {
        text.split(',').try_for_each(|item| {
            let fits = self.fits(&item.to_lowercase());
            fits.ok_or_else(|| format!("{item:?} is no {} ({} to {})", self.name, self.range.start(), self.range.end()))
        })
    }

    /// `*`, `5`, `1-5`, each with `/2`; in days the last one (`L`), weekdays (`15W`) and the third friday (`5#3`).
    fn fits(&self, item: &str) -> Option<()> {
        let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
        if step.is_some_and(|step| step.parse::<u32>().ok().filter(|step| *step > 0).is_none()) {
            return None;
        }
        let is_day = self.name.starts_with("day");
        let plain = match range {
            "*" => return Some(()),
            "?" | "l" | "lw" if is_day => return Some(()),
            _ if is_day => range.trim_end_matches(['l', 'w']),
            _ => range,
        };
        if let Some((day, week)) = plain.split_once('#').filter(|_| self.name == "day of week") {
            return week.parse::<u32>().ok().filter(|week| (1..=5).contains(week)).and(self.number(day)).map(drop);
        }
        match plain.split_once('-') {
            Some((from, to)) => (self.number(from)? <= self.number(to)?).then_some(()),
            None => self.number(plain).map(drop),
        }
    }

    fn number(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| text.starts_with(name) && text.chars().all(char::is_alphabetic));
        let number = match named {
            Some(at) => self.first + u32::try_from(at).ok()?,
            None => text.parse().ok()?,
        };
        self.range.contains(&number).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules() {
        for (spec, expected) in [
            ("* * * * *", ""),
            ("*/15 0-6,22 1,15 jan-mar mon-fri", ""),
            ("0 0 * * 7", ""),
            ("0 0 L * ?", ""),
            ("0 0 15W * 5#3", ""),
            ("0 0 * * 5L 2030", ""),
            ("30 0 0 * * * *", ""),
            ("@daily", ""),
            ("@never", "\"@never\" is none of"),
            ("", "it has 0 fields"),
            ("* * * *", "it has 4 fields"),
            ("60 * * * *", "\"60\" is no minute (0 to 59)"),
            ("* 24 * * *", "is no hour"),
            ("* * 0 * *", "is no day of month"),
            ("* * * foo *", "\"foo\" is no month"),
            ("* * * * mon-sun", "is no day of week"),
            ("*/0 * * * *", "is no minute"),
            ("5-1 * * * *", "is no minute"),
            ("* * * * 5#6", "is no day of week"),
        ] {
            let found = check(spec).err().unwrap_or_default();
            assert!(if expected.is_empty() { found.is_empty() } else { found.contains(expected) }, "{spec}: {found}");
        }
    }
}
