//! "Did you mean": the valid name nearest to a wrong one.

/// The nearest of `names`, when it is near enough to be a slip of the pen.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if wrong.len() > 100 {
        return None;
    }
    let wrong = wrong.to_lowercase();
    names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&wrong, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= (name.len().max(wrong.len()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// ` Did you mean "x"?`, or nothing.
pub fn did_you_mean<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(wrong, names).map(|name| format!(" Did you mean {name:?}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_slips_of_the_pen_are_corrected() {
        let names = ["driver", "config", "env", "resources"];
        for (wrong, expected) in [
            ("drvier", Some("driver")),
            ("confg", Some("config")),
            ("resource", Some("resources")),
            ("ENV", Some("env")),
            ("artifact", None),
            ("x", None),
        ] {
            assert_eq!(nearest(wrong, names), expected, "{wrong}");
        }
    }
}
