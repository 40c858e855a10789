//! `longshore:host/images`.

use longshore_core::{
    error::Result,
    image::{self, Images},
};

use crate::{
    bindings::longshore::host::images,
    store::{Answers, Operation},
};

impl Operation {
    fn images(&self) -> Result<&dyn Images> {
        self.backend(&self.host.backends.images, "engine with images")
    }
}

impl images::Host for Operation {
    async fn find(&mut self, reference: String) -> Result<Option<images::Image>> {
        let image = self.images()?.find(&self.caller, &reference).await?;
        Ok(image.map(Into::into))
    }

    async fn pull(&mut self, reference: String, options: images::PullOptions) -> Result<images::Image> {
        if self.answers == Answers::Rehearsal {
            return Ok(image::Image::default().into());
        }
        let events = &*self.host.backends.events;
        let image = self.images()?.pull(&self.caller, &reference, &options.into(), events).await?;
        Ok(image.into())
    }

    async fn load_archive(&mut self, path: String) -> Result<Vec<String>> {
        self.caller.require_task()?;
        if self.answers == Answers::Rehearsal {
            return Ok(Vec::new());
        }
        self.images()?.load(&self.caller, &path).await
    }

    async fn release(&mut self, reference: String) -> Result<()> {
        self.caller.require_task()?;
        self.images()?.release(&self.caller, &reference).await
    }
}

impl From<image::Image> for images::Image {
    fn from(image: image::Image) -> Self {
        let image::Image { id, digests, size_bytes, stop_signal } = image;
        Self { id, digests, size_bytes: size_bytes as f64, stop_signal }
    }
}

impl From<images::PullOptions> for image::PullOptions {
    fn from(options: images::PullOptions) -> Self {
        let credentials = options.credentials.map(|given| image::Credentials {
            username: given.username,
            password: given.password,
            identity_token: given.identity_token,
            server_address: given.server_address,
        });
        Self { credentials, timeout_ms: options.timeout_ms, platform: options.platform }
    }
}
