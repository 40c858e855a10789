//! Image references, as far as the driver must understand them.

use longshore_sdk::Error;

/// An image reference, its parts told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Repository, with the registry's host and port, and with the digest when there is one.
    pub repository: String,
    /// Tag; `latest` when there is neither tag nor digest, empty when there is a digest.
    pub tag: String,
}

impl Reference {
    /// Takes a reference apart.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong = || Error::invalid(format!("invalid image reference {text:?}"));
        if text.is_empty() {
            return Err(Error::invalid("image name required for docker driver"));
        }
        if let Some((name, digest)) = text.split_once('@') {
            let (repository, _) = split_tag(name);
            let whole = !repository.is_empty() && digest.contains(':');
            return if whole {
                Ok(Self { repository: format!("{repository}@{digest}"), tag: String::new() })
            } else {
                Err(wrong())
            };
        }
        match split_tag(text) {
            ("", _) | (_, Some("")) => Err(wrong()),
            (repository, tag) => Ok(Self { repository: repository.into(), tag: tag.unwrap_or("latest").into() }),
        }
    }

    /// Whether the image may have changed since it was last pulled.
    pub fn moves(&self) -> bool {
        self.tag == "latest"
    }
}

/// `https://` in front is what people copy from a browser.
pub fn without_scheme(image: &str) -> &str {
    image.strip_prefix("https://").unwrap_or(image)
}

/// The last `:` begins a tag unless a `/` follows: then it begins the registry's port.
fn split_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, Some(tag)),
        _ => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_of_nomad() {
        let table = [
            ("host:5000/library/hello-world", "host:5000/library/hello-world", "latest"),
            ("host:5000/library/hello-world:1.0", "host:5000/library/hello-world", "1.0"),
            ("library/hello-world@sha256:f5233545", "library/hello-world@sha256:f5233545", ""),
            ("my-registry:9090/hello-world:my-tag@sha256:x", "my-registry:9090/hello-world@sha256:x", ""),
            ("redis", "redis", "latest"),
        ];
        for (text, repository, tag) in table {
            let expected = Reference { repository: repository.into(), tag: tag.into() };
            assert_eq!(Reference::parse(text), Ok(expected), "{text}");
        }
        for text in ["", "wrong:", "@sha256:x", "a@b"] {
            assert!(matches!(Reference::parse(text), Err(Error::Invalid(_))), "{text}");
        }
        assert_eq!(without_scheme("https://quay.io/a"), "quay.io/a");
    }
}
