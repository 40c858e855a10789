//! Removing many networks together: the kernel takes hardly longer for many than for one. Who comes while some are
//! being removed goes with the next.

use std::{
    mem,
    sync::{Mutex, mpsc},
    thread,
};

use longshore_core::{
    caller::AllocId,
    error::{HostError, Result},
};

use crate::lock::lock;

/// For the one who waits for a network's removal.
type Tell = mpsc::Sender<Result<()>>;

/// Those whose networks shall go. The first to come removes its own and those of all who come meanwhile.
#[derive(Default)]
pub(super) struct Leaving(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    waiting: Vec<(AllocId, Tell)>,
    /// Whether somebody is removing, and will look here again.
    is_led: bool,
}

impl Leaving {
    /// Has an allocation's network removed, by `remove` or by another's.
    pub fn leave(&self, alloc: &AllocId, mut remove: impl FnMut(&[AllocId]) -> Vec<Result<()>>) -> Result<()> {
        let (tell, told) = mpsc::channel();
        let is_led = {
            let mut queue = lock(&self.0);
            queue.waiting.push((alloc.clone(), tell));
            mem::replace(&mut queue.is_led, true)
        };
        if !is_led {
            let _lead = Lead(&self.0);
            while let Some((allocs, tells)) = self.next() {
                for (result, tell) in remove(&allocs).into_iter().zip(tells) {
                    // Nobody listens any more: nobody wants to know.
                    let _ = tell.send(result);
                }
            }
        }
        told.recv().unwrap_or_else(|_| Err(HostError::Other("the thread that removed networks crashed".into())))
    }

    /// All who wait; when nobody does, the lead is over.
    fn next(&self) -> Option<(Vec<AllocId>, Vec<Tell>)> {
        let mut queue = lock(&self.0);
        queue.is_led = !queue.waiting.is_empty();
        queue.is_led.then(|| mem::take(&mut queue.waiting).into_iter().unzip())
    }
}

/// A lead that ends in a crash leaves nobody waiting.
struct Lead<'a>(&'a Mutex<Queue>);

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            *lock(self.0) = Queue::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        panic::{AssertUnwindSafe, catch_unwind},
        sync::Barrier,
    };

    use super::*;

    fn alloc(number: usize) -> AllocId {
        AllocId(number.to_string())
    }

    #[test]
    fn who_comes_meanwhile_goes_with_the_next() {
        let (leaving, batches, all_there) = (Leaving::default(), Mutex::new(Vec::new()), Barrier::new(9));
        let remove = |allocs: &[AllocId]| {
            if mem::replace(&mut *lock(&batches), vec![allocs.len()]).is_empty() {
                all_there.wait();
                while lock(&leaving.0).waiting.len() < 8 {
                    thread::yield_now();
                }
            }
            allocs
                .iter()
                .map(|alloc| if alloc.0 == "5" { Err(HostError::Other(String::new())) } else { Ok(()) })
                .collect()
        };
        thread::scope(|scope| {
            let first = scope.spawn(|| leaving.leave(&alloc(0), remove));
            let others: Vec<_> = (1..9)
                .map(|number| {
                    let (leaving, all_there) = (&leaving, &all_there);
                    scope.spawn(move || {
                        all_there.wait();
                        leaving.leave(&alloc(number), |_| panic!("somebody removes already"))
                    })
                })
                .collect();
            first.join().unwrap().unwrap();
            for (other, number) in others.into_iter().zip(1..) {
                assert_eq!(other.join().unwrap().is_err(), number == 5, "{number}");
            }
        });
        assert_eq!(*lock(&batches), [8], "all the others at once");
    }

    #[test]
    fn a_crash_is_told_and_the_next_leads_again() {
        let leaving = Leaving::default();
        let crashed = catch_unwind(AssertUnwindSafe(|| leaving.leave(&alloc(0), |_| panic!("on purpose"))));
        assert!(crashed.is_err());
        leaving.leave(&alloc(1), |allocs| vec![Ok(()); allocs.len()]).unwrap();
    }
}
