//! What a call is busy with, for the error that ends it.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::Step;

/// The step a call has reached. Atomic so that the call's future can move between threads.
#[derive(Debug)]
pub(crate) struct Progress(AtomicU8);

impl Progress {
    pub(crate) const fn new() -> Self {
        Self(AtomicU8::new(Step::Build as u8))
    }

    pub(crate) fn set(&self, step: Step) {
        self.0.store(step as u8, Ordering::Relaxed);
    }

    pub(crate) fn step(&self) -> Step {
        let number = self.0.load(Ordering::Relaxed);
        let all =
            [Step::Resolve, Step::Connect, Step::Proxy, Step::Handshake, Step::Answer, Step::Body];
        all.into_iter().find(|step| *step as u8 == number).unwrap_or(Step::Build)
    }
}
