//! The image a task's container was made of. It is noted with the allocation, and told to the driver at later starts:
//! a tag may point elsewhere by then.

use longshore_core::error::Result;

use super::Live;
use crate::{shared::Shared, status::TaskImage};

/// Notes the image of a container of a task's.
pub(crate) async fn note(shared: &Shared, live: &Live, container: &str) {
    let id = &live.task.id;
    let image = match find(shared, live, container).await {
        Ok(Some(image)) => image,
        Ok(None) => return,
        Err(error) => return tracing::debug!(task = %id, %error, "the image of a task is not known"),
    };
    let known = shared.board.alloc(&id.alloc).and_then(|alloc| alloc.images.get(&id.task).cloned());
    if known.as_ref() != Some(&image) {
        // Not hurried to the disk: who finds the container running again asks again.
        shared.board.note_alloc(&id.alloc, |alloc| drop(alloc.images.insert(id.task.clone(), image)));
    }
}

async fn find(shared: &Shared, live: &Live, container: &str) -> Result<Option<TaskImage>> {
    let Some(images) = &shared.backends.images else { return Ok(None) };
    let image = images.of_container(&live.caller(), container).await?;
    Ok(image.map(|image| TaskImage { id: image.id, digest: image.digests.into_iter().next() }))
}
