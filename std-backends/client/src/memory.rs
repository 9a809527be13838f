//! The credential of one provider in memory: one upstream call for any number of callers.

use std::future::Future;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard as StdGuard, PoisonError};

use tokio::sync::{Mutex, MutexGuard};

use crate::clock::{Clock, Moment};
use crate::freshness::{Due, Lease, check};
use crate::{Credential, Error, Result};

/// Keeps one credential, and renews it as [`freshness`](crate::freshness) says.
///
/// At most one attempt is under way at a time. Callers that cannot be served wait for it and share its
/// result, also when it fails. A caller that is dropped while it fetches gives its turn to the next.
pub(crate) struct Memory {
    clock: Clock,
    /// What [`Error::Expired`] and [`Error::Empty`] call the upstream call.
    call: &'static str,
    /// Never locked across an `await`.
    state: StdMutex<State>,
    /// Held by the one caller that fetches.
    turn: Mutex<()>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// How many attempts have ended.
    attempts: u64,
    /// Why the last one failed.
    error: Option<Error>,
    /// How often [`Memory::invalidate`] was called.
    invalidations: u64,
}

struct Held {
    credential: Arc<Credential>,
    lease: Lease,
}

/// What a caller does next.
enum Plan {
    Serve(Arc<Credential>),
    /// Renew it if nobody else does.
    Renew(Arc<Credential>),
    /// Renew it, or wait for whoever does.
    Wait,
}

impl Memory {
    /// An empty memory. `call` names the upstream call in errors, such as `AssumeRole`.
    pub(crate) fn new(clock: Clock, call: &'static str) -> Self {
        Self { clock, call, state: StdMutex::default(), turn: Mutex::new(()) }
    }

    /// The credential, with at least [`MARGIN`](crate::freshness::MARGIN) seconds left; from `fetch` when
    /// it is this caller's turn to renew it.
    ///
    /// # Errors
    /// That of the attempt, when there is no valid credential to serve in its place.
    pub(crate) async fn get<F, Fut>(&self, fetch: F) -> Result<Arc<Credential>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Credential>>,
    {
        let (plan, attempts) = self.plan();
        let turn: MutexGuard<'_, ()> = match plan {
            Plan::Serve(credential) => return Ok(credential),
            Plan::Renew(credential) => match self.turn.try_lock() {
                Ok(turn) => turn,
                Err(_) => return Ok(credential),
            },
            Plan::Wait => self.turn.lock().await,
        };
        if let Some(outcome) = self.outcome_since(attempts) {
            return outcome;
        }
        let invalidations = self.state().invalidations;
        let fetched = fetch().await;
        let outcome = self.settle(fetched, invalidations);
        drop(turn);
        outcome
    }

    /// Forgets the credential, because a service refused it: the next caller fetches anew.
    pub(crate) fn invalidate(&self) {
        let mut state = self.state();
        state.held = None;
        state.error = None;
        // What is being fetched right now may be the same: it goes to those who wait, and is not kept.
        state.invalidations = state.invalidations.wrapping_add(1);
    }

    /// Nothing panics while it is locked, and were it so, every field is still whole.
    fn state(&self) -> StdGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to do, and how many attempts had ended by then.
    fn plan(&self) -> (Plan, u64) {
        let now = self.clock.now();
        let state = self.state();
        let plan = match &state.held {
            None => Plan::Wait,
            Some(held) => match held.lease.due(now) {
                Due::No => Plan::Serve(held.credential.clone()),
                Due::Advisory => Plan::Renew(held.credential.clone()),
                Due::Mandatory | Due::Expired => Plan::Wait,
            },
        };
        (plan, state.attempts)
    }

    /// The outcome of the last attempt, if one ended after there were `attempts`: the caller waited for it.
    fn outcome_since(&self, attempts: u64) -> Option<Result<Arc<Credential>>> {
        let now = self.clock.now();
        let state = self.state();
        if state.attempts == attempts {
            return None;
        }
        match state.valid(now) {
            Some(held) => Some(Ok(held.credential.clone())),
            None => state.error.clone().map(Err),
        }
    }

    /// Keeps what an attempt brought. It began when there had been `invalidations`.
    fn settle(&self, fetched: Result<Credential>, invalidations: u64) -> Result<Arc<Credential>> {
        let now = self.clock.now();
        let fetched =
            fetched.and_then(|fetched| check(&fetched, now, self.call).map(|()| Arc::new(fetched)));
        let mut state = self.state();
        let present = state.invalidations == invalidations;
        state.attempts = state.attempts.wrapping_add(1);
        match fetched {
            Ok(credential) => {
                state.error = None;
                if present {
                    let expiration = credential.expiration();
                    let lease = match &state.held {
                        Some(held) => held.lease.renewed(now, expiration),
                        None => Lease::new(now, expiration),
                    };
                    state.held = Some(Held { credential: credential.clone(), lease });
                }
                Ok(credential)
            }
            Err(error) => {
                state.error = Some(error.clone());
                let Some(held) = state.valid_mut(now) else { return Err(error) };
                held.lease = held.lease.after_failure(now);
                let credential = held.credential.clone();
                let left = held.lease.left(now);
                drop(state);
                warn_kept(self.call, &error, left);
                Ok(credential)
            }
        }
    }
}

/// Says that a renewal failed and that the credential at hand is served meanwhile.
pub(crate) fn warn_kept(call: &str, error: &Error, left: u64) {
    tracing::warn!(
        call,
        %error,
        seconds_left = left,
        "the credential could not be renewed; it is used on while it is valid"
    );
}

impl State {
    fn valid(&self, now: Moment) -> Option<&Held> {
        self.held.as_ref().filter(|held| held.lease.is_valid(now))
    }

    fn valid_mut(&mut self, now: Moment) -> Option<&mut Held> {
        self.held.as_mut().filter(|held| held.lease.is_valid(now))
    }
}

#[cfg(test)]
mod tests;
