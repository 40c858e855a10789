//! Points in time, as text of RFC 3339.

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::Parameter::Text;
use super::{Call, Function, function};
use crate::hcl::value::Value;
use crate::model::parse_duration;

pub(super) static FUNCTIONS: &[Function] =
    &[function("formatdate", &[Text, Text], formatdate), function("timeadd", &[Text, Text], timeadd)];

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| format!("not a valid RFC3339 timestamp: {text:?}"))
}

fn timeadd(c: &Call) -> Result<Value, String> {
    let by = Duration::nanoseconds(parse_duration(c.text(1))?);
    let moved = moment(c.text(0))?.checked_add(by).ok_or("the result is out of range")?;
    // HCL writes whole seconds.
    let moved = moved.replace_nanosecond(0).map_err(|error| error.to_string())?;
    moved.format(&Rfc3339).map(Value::from).map_err(|error| error.to_string())
}

/// Runs of one letter are parts of the time; text in single quotes, and all that is no letter, stays.
fn formatdate(c: &Call) -> Result<Value, String> {
    let at = moment(c.text(1))?;
    let mut out = String::new();
    let mut rest = c.text(0);
    while let Some(first) = rest.chars().next() {
        if first == '\'' {
            rest = literal(&rest[1..], &mut out)?;
            continue;
        }
        let run = rest.find(|letter| letter != first).unwrap_or(rest.len());
        let (token, tail) = rest.split_at(run);
        if first.is_ascii_alphabetic() {
            out.push_str(&part(token, at)?);
        } else {
            out.push_str(token);
        }
        rest = tail;
    }
    Ok(out.into())
}

/// Up to the closing quote; two in a row are one.
fn literal<'t>(mut rest: &'t str, out: &mut String) -> Result<&'t str, String> {
    loop {
        let end = rest.find('\'').ok_or("unterminated literal '")?;
        out.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('\'') {
            Some(more) => {
                out.push('\'');
                rest = more;
            }
            None => return Ok(rest),
        }
    }
}

fn part(token: &str, at: OffsetDateTime) -> Result<String, String> {
    let (year, month, day) = (at.year(), at.month(), at.day());
    let twelve = match at.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let short = |name: String| name.chars().take(3).collect::<String>();
    Ok(match token {
        "YYYY" => format!("{year:04}"),
        "YY" => format!("{:02}", year.rem_euclid(100)),
        "MMMM" => month.to_string(),
        "MMM" => short(month.to_string()),
        "MM" => format!("{:02}", u8::from(month)),
        "M" => u8::from(month).to_string(),
        "DD" => format!("{day:02}"),
        "D" => day.to_string(),
        "EEEE" => at.weekday().to_string(),
        "EEE" => short(at.weekday().to_string()),
        "hh" => format!("{:02}", at.hour()),
        "h" => at.hour().to_string(),
        "HH" => format!("{twelve:02}"),
        "H" => twelve.to_string(),
        "AA" => if at.hour() < 12 { "AM" } else { "PM" }.into(),
        "aa" => if at.hour() < 12 { "am" } else { "pm" }.into(),
        "mm" => format!("{:02}", at.minute()),
        "m" => at.minute().to_string(),
        "ss" => format!("{:02}", at.second()),
        "s" => at.second().to_string(),
        "ZZZZZ" => offset(at, ":"),
        "ZZZZ" => offset(at, ""),
        "ZZZ" if at.offset().is_utc() => "UTC".into(),
        "ZZZ" => offset(at, ""),
        "Z" if at.offset().is_utc() => "Z".into(),
        "Z" => offset(at, ":"),
        _ => return Err(format!("unsupported format verb {token:?}")),
    })
}

fn offset(at: OffsetDateTime, between: &str) -> String {
    let (hours, minutes, _) = at.offset().as_hms();
    let sign = if at.offset().is_negative() { '-' } else { '+' };
    format!("{sign}{:02}{between}{:02}", hours.abs(), minutes.abs())
}
