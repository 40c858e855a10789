//! Namespaces made before they are asked for: of all that a network consists of, the kernel takes longest for those.
//!
//! A spare one has no name, no process and no link to anywhere; it is there as long as this process holds it open. So
//! there is nothing to journal and nothing to be left behind, however the process ends.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use super::namespace::{Namespace, make_for};

/// How many are kept ready: for a group with a few allocations that is submitted at once.
const READY: usize = 4;

/// Spare namespaces, and the thread that makes them. There are none before the first network has been made: an agent
/// whose jobs need none has none.
#[derive(Default)]
pub(super) struct Spares(Option<Maker>);

struct Maker {
    ask: Sender<()>,
    made: Receiver<Namespace>,
    /// Asked for and not taken.
    due: usize,
}

impl Spares {
    /// A namespace with 127.0.0.1, if there is one or will be at once.
    pub fn take(&mut self) -> Option<Namespace> {
        let maker = self.0.as_mut().filter(|maker| maker.due > 0)?;
        maker.due -= 1;
        // Waiting for one that is being made takes no longer than making another.
        let taken = maker.made.recv().ok();
        if taken.is_none() {
            // It could not; why, whoever makes one himself will be told.
            self.0 = None;
        }
        taken
    }

    /// Has as many made as there should be. Called when a network is there, so that they wait for each other and not
    /// somebody for them.
    pub fn refill(&mut self) {
        if self.0.is_none() {
            self.0 = Maker::start();
        }
        let Some(maker) = &mut self.0 else { return };
        while maker.due < READY && maker.ask.send(()).is_ok() {
            maker.due += 1;
        }
    }
}

impl Maker {
    fn start() -> Option<Self> {
        let ((ask, asked), (make, made)) = (channel(), channel());
        let work = move || {
            if let Err(error) = make_for(&asked, &make) {
                tracing::debug!(%error, "no spare network namespaces");
            }
        };
        thread::Builder::new().name("spare netns".into()).spawn(work).ok()?;
        Some(Self { ask, made, due: 0 })
    }
}
