//! Text to other texts and back: base64, JSON, CSV, URLs, digests, names that are unique.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Digest;

use super::Parameter::{Any, Number, Text};
use super::{Call, Function, function, variadic};
use crate::hcl::value::Value;

/// What a query string may hold as it is.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

pub(super) static FUNCTIONS: &[Function] = &[
    function("base64decode", &[Text], base64decode),
    function("base64encode", &[Text], |c| Ok(STANDARD.encode(c.text(0)).into())),
    function("jsondecode", &[Text], jsondecode),
    function("jsonencode", &[Any], |c| match c.value(0).is_finite() {
        true => Ok(escaped(&json(c.value(0))).into()),
        false => Err("cannot serialize infinity as JSON".into()),
    }),
    variadic("bcrypt", &[Text], Number, bcrypt),
    function("csvdecode", &[Text], csvdecode),
    function("uuidv4", &[], |_| Ok(uuid::Uuid::new_v4().to_string().into())),
    function("uuidv5", &[Text, Text], uuidv5),
    function("urlencode", &[Text], |c| Ok(utf8_percent_encode(c.text(0), QUERY).to_string().replace(' ', "+").into())),
    function("md5", &[Text], |c| Ok(hex(&md5::Md5::digest(c.text(0))))),
    function("sha1", &[Text], |c| Ok(hex(&sha1::Sha1::digest(c.text(0))))),
    function("sha256", &[Text], |c| Ok(hex(&sha2::Sha256::digest(c.text(0))))),
    function("sha512", &[Text], |c| Ok(hex(&sha2::Sha512::digest(c.text(0))))),
];

fn jsondecode(c: &Call) -> Result<Value, String> {
    let document: serde_json::Value = serde_json::from_str(c.text(0)).map_err(|error| error.to_string())?;
    Ok(document.into())
}

fn base64decode(c: &Call) -> Result<Value, String> {
    // Lines may be broken anywhere.
    let text = c.text(0).replace(['\r', '\n'], "");
    let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
    String::from_utf8(bytes)
        .map(Value::from)
        .map_err(|_| "the result of decoding the provided string is not valid UTF-8".into())
}

/// Go writes JSON that may stand in HTML.
fn escaped(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// The cost is 10 unless given; what the library would take minutes for is refused.
fn bcrypt(c: &Call) -> Result<Value, String> {
    const USUAL: i64 = 10;
    const COSTLIEST: i64 = 14;
    let cost = match c.arguments.len() {
        1 => USUAL,
        // What is too cheap counts as not given.
        2 => Some(c.whole(1)?).filter(|cost| *cost >= 4).unwrap_or(USUAL),
        _ => return Err("bcrypt() takes no more than two arguments".into()),
    };
    let allowed = u32::try_from(cost).ok().filter(|_| cost <= COSTLIEST);
    let cost = allowed.ok_or_else(|| format!("the cost must be at most {COSTLIEST}"))?;
    let hash = bcrypt::non_truncating_hash_with_result(c.text(0), cost).map_err(|error| error.to_string())?;
    // Go's library still marks its hashes so; they are the same.
    Ok(hash.format_for_version(bcrypt::Version::TwoA).into())
}

/// A list of objects, by the names in the first line.
fn csvdecode(c: &Call) -> Result<Value, String> {
    let mut reader = csv::Reader::from_reader(c.text(0).as_bytes());
    let names = reader.headers().map_err(|error| error.to_string())?.clone();
    if names.is_empty() {
        return Err("missing header line".into());
    }
    if let Some(twice) = names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|other| other == *name))
    {
        return Err(format!("duplicate column name {:?}", twice.1));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        super::fits(c.text(0).len().saturating_add(rows.len().saturating_mul(names.as_slice().len())))?;
        let fields = names.iter().zip(&record).map(|(name, field)| (name.to_owned(), field.into()));
        rows.push(Value::Object(fields.collect()));
    }
    Ok(Value::Array(rows))
}

/// In one of the name spaces of RFC 4122, by name, or in one given as UUID.
fn uuidv5(c: &Call) -> Result<Value, String> {
    let space = match c.text(0) {
        "dns" => uuid::Uuid::NAMESPACE_DNS,
        "url" => uuid::Uuid::NAMESPACE_URL,
        "oid" => uuid::Uuid::NAMESPACE_OID,
        "x500" => uuid::Uuid::NAMESPACE_X500,
        other => uuid::Uuid::parse_str(other)
            .map_err(|_| "uuidv5() doesn't support namespace; it must be dns, url, oid, x500 or a UUID".to_owned())?,
    };
    Ok(uuid::Uuid::new_v5(&space, c.text(1).as_bytes()).to_string().into())
}

/// Keys in order and numbers without exponent, as HCL writes JSON.
fn json(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            let pairs = fields.into_iter().map(|(key, item)| format!("{}:{}", Value::from(key.as_str()), json(item)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(json).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

fn hex(digest: &[u8]) -> Value {
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}
