//! The image a container was made of.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use longshore_core::{caller::Caller, error::Result, image::Image};
use tokio::sync::OnceCell;

use super::super::Docker;

/// How long an answer about an image is given again. Digests change when it is pushed or pulled under another name.
const LATELY: Duration = Duration::from_secs(10);

/// Images that were asked for lately: tasks of one image mostly start together, and each asks.
#[derive(Default)]
pub(in super::super) struct Lately(Mutex<HashMap<String, Asked>>);

struct Asked {
    at: Instant,
    answer: Answer,
}

type Answer = Arc<OnceCell<Option<Image>>>;

impl Lately {
    /// The answer for an image: there already, being asked for, or still to be asked for.
    fn answer(&self, id: &str) -> Answer {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, asked| asked.at.elapsed() < LATELY);
        let new = || Asked { at: Instant::now(), answer: Answer::default() };
        asked.entry(id.to_owned()).or_insert_with(new).answer.clone()
    }
}

impl Docker {
    pub(in super::super) async fn image_of(&self, caller: &Caller, container: &str) -> Result<Option<Image>> {
        let owner = self.own(caller, container).await?;
        let steady = self.steady(&owner, container).await?;
        if steady.image_id.is_empty() {
            return Ok(None);
        }
        let answer = self.lately.answer(&steady.image_id);
        let found = answer.get_or_try_init(|| self.look_at_image(&steady.image_id)).await?;
        let mut image = found.clone().unwrap_or_else(|| Image { id: steady.image_id.clone(), ..Image::default() });
        image.digests.sort_by_key(|digest| !is_of(&steady.image, digest));
        Ok(Some(image))
    }
}

/// Whether a digest is of the repository that a reference names.
fn is_of(reference: &str, digest: &str) -> bool {
    digest.split_once('@').is_some_and(|(repository, _)| reference.starts_with(repository))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_of_repositories() {
        for (reference, digest, expected) in [
            ("web:1", "web@sha256:ab", true),
            ("host:5000/web:1", "host:5000/web@sha256:ab", true),
            ("web:1", "db@sha256:ab", false),
            ("web:1", "sha256:ab", false),
        ] {
            assert_eq!(is_of(reference, digest), expected, "{reference} {digest}");
        }
    }

    #[test]
    fn who_asks_at_the_same_time_shares_an_answer() {
        let lately = Lately::default();
        assert!(Arc::ptr_eq(&lately.answer("a"), &lately.answer("a")));
        assert!(!Arc::ptr_eq(&lately.answer("a"), &lately.answer("b")));
    }
}
