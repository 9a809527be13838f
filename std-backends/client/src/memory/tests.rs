use std::future::{Future, pending, poll_fn, ready};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use tokio::sync::{Notify, Semaphore};
use zeroize::Zeroizing;

use super::*;
use crate::BearerToken;
use crate::clock::testing::HandClock;
use crate::freshness::MARGIN;

const CALLERS: usize = 200;

fn token(name: &str, expiration: cloudauth_core::UnixTime) -> Credential {
    Credential::Bearer(BearerToken { token: Zeroizing::new(name.to_owned()), expiration })
}

fn name(credential: &Credential) -> &str {
    match credential {
        Credential::Bearer(token) => &token.token,
        Credential::Aws(_) | Credential::Secrets(_) => unreachable!(),
    }
}

fn down() -> Error {
    Error::config("upstream", "is down")
}

/// A memory and a service whose tokens, `token-1`, `token-2`, ..., live for `life` seconds.
struct Setup {
    clock: HandClock,
    memory: Memory,
    life: u64,
    calls: AtomicUsize,
}

impl Setup {
    fn new(life: u64) -> Self {
        let clock = HandClock::new();
        let memory = Memory::new(clock.clock(), "AssumeRole");
        Self { clock, memory, life, calls: AtomicUsize::new(0) }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// One upstream call.
    fn issue(&self) -> Credential {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        token(&format!("token-{call}"), self.clock.now().time.plus(self.life))
    }

    fn fail(&self) -> Error {
        self.calls.fetch_add(1, Ordering::SeqCst);
        down()
    }

    async fn get(&self) -> String {
        name(&self.memory.get(|| ready(Ok(self.issue()))).await.unwrap()).to_owned()
    }

    async fn get_while_down(&self) -> Result<String> {
        self.memory.get(|| ready(Err(self.fail()))).await.map(|served| name(&served).to_owned())
    }
}

/// The result of `future` if it is ready, after one poll.
async fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// What [`CALLERS`] get that all call, from all threads, before the service answers the first.
async fn stampede(setup: &Arc<Setup>, up: bool) -> Vec<Result<String>> {
    let (arrived, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (setup, arrived, answer) = (setup.clone(), arrived.clone(), answer.clone());
            tokio::spawn(async move {
                let fetched = setup.memory.get(|| async {
                    let fetched = if up { Ok(setup.issue()) } else { Err(setup.fail()) };
                    answer.acquire().await.unwrap().forget();
                    fetched
                });
                let mut fetched = pin!(fetched);
                let mut first = true;
                let fetched = poll_fn(|context| {
                    let poll = fetched.as_mut().poll(context);
                    if std::mem::take(&mut first) {
                        arrived.fetch_add(1, Ordering::SeqCst);
                    }
                    poll
                });
                fetched.await.map(|served| name(&served).to_owned())
            })
        })
        .collect();
    while arrived.load(Ordering::SeqCst) < CALLERS {
        tokio::task::yield_now().await;
    }
    // Enough for every call that there should not be: the count then shows it.
    answer.add_permits(CALLERS);
    let mut results = Vec::new();
    for caller in callers {
        results.push(caller.await.unwrap());
    }
    results
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_at_expiry_make_one_call() {
    for _ in 0..20 {
        let setup = Arc::new(Setup::new(3600));
        setup.get().await;
        for passed in [3600, 3600 - MARGIN, 3600 - 200] {
            let before = setup.calls();
            setup.clock.pass(passed);
            let results = stampede(&setup, true).await;
            let expected = format!("token-{}", before + 1);
            assert!(results.iter().all(|r| r.as_ref().is_ok_and(|t| *t == expected)));
            assert_eq!(setup.calls(), before + 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_at_expiry_make_one_call_also_when_it_fails() {
    for _ in 0..20 {
        let setup = Arc::new(Setup::new(3600));
        setup.get().await;
        setup.clock.pass(3600);
        let results = stampede(&setup, false).await;
        assert_eq!(setup.calls(), 2);
        for result in results {
            assert_eq!(result.unwrap_err().to_string(), "upstream: is down");
        }
        // Those who come later try anew, each once.
        setup.get_while_down().await.unwrap_err();
        assert_eq!(setup.calls(), 3);
        assert_eq!(setup.get().await, "token-4");
        // While it is valid, those who waited for a failure are served.
        setup.clock.pass(3600 - 100);
        let results = stampede(&setup, false).await;
        assert!(results.iter().all(|r| r.as_ref().is_ok_and(|t| t == "token-4")));
        assert_eq!(setup.calls(), 5);
    }
}

#[tokio::test]
async fn upstream_down_for_an_hour() {
    let setup = Setup::new(3600);
    assert_eq!(setup.get().await, "token-1");
    let mut attempts = 0;
    // It goes down at once and is asked every second.
    for second in 0..3600 - MARGIN {
        let before = setup.calls();
        assert_eq!(setup.get_while_down().await.unwrap(), "token-1", "{second}");
        let left = 3600 - second;
        assert!(left <= 900 || setup.calls() == before, "{left}");
        attempts += setup.calls() - before;
        setup.clock.pass(1);
    }
    // Once in 30 to 38 seconds for 375 to 600 seconds, then once in 5 for less than 300.
    assert!((10..=20 + 60).contains(&attempts), "{attempts}");
    assert!(attempts >= 10 + 55, "{attempts}");
    for _ in 0..MARGIN + 10 {
        let before = setup.calls();
        let error = setup.get_while_down().await.unwrap_err();
        assert_eq!(error.to_string(), "upstream: is down");
        assert_eq!(setup.calls(), before + 1);
        setup.clock.pass(1);
    }
    let next = setup.calls() + 1;
    assert_eq!(setup.get().await, format!("token-{next}"));
    assert_eq!(setup.get().await, format!("token-{next}"));
}

#[tokio::test]
async fn one_caller_renews_while_others_are_served() {
    let setup = Setup::new(3600);
    setup.get().await;
    setup.clock.pass(3600 - 900 - 1);
    assert_eq!(setup.get().await, "token-1");
    setup.clock.pass(226);
    let answer = Notify::new();
    let fetched = async {
        setup
            .memory
            .get(|| async {
                answer.notified().await;
                Ok(setup.issue())
            })
            .await
    };
    let mut fetched = pin!(fetched);
    assert!(now_or_never(fetched.as_mut()).await.is_none());
    let other = now_or_never(setup.get_while_down()).await;
    assert_eq!(other.unwrap().unwrap(), "token-1");
    answer.notify_one();
    assert_eq!(name(&fetched.await.unwrap()), "token-2");
    assert_eq!(setup.calls(), 1 + 1);
    assert_eq!(setup.get().await, "token-2");

    // In the mandatory window the others wait.
    setup.clock.pass(3600 - 300);
    let fetched = async {
        setup
            .memory
            .get(|| async {
                answer.notified().await;
                Ok(setup.issue())
            })
            .await
    };
    let mut fetched = pin!(fetched);
    assert!(now_or_never(fetched.as_mut()).await.is_none());
    let mut other = pin!(setup.get());
    assert!(now_or_never(other.as_mut()).await.is_none());
    answer.notify_one();
    assert_eq!(name(&fetched.await.unwrap()), "token-3");
    assert_eq!(other.await, "token-3");
}

#[tokio::test]
async fn windows_of_short_and_long_lives() {
    // life, the most and the least that is left when it is renewed first
    for (life, most, least) in
        [(12 * 3600, 900, 675), (3600, 900, 675), (900, 225, 169), (60, 15, 12)]
    {
        let setup = Setup::new(life);
        setup.get().await;
        let mut left = life;
        while setup.get().await == "token-1" {
            setup.clock.pass(1);
            left -= 1;
        }
        assert!((least..=most).contains(&left), "{life}: {left}");
    }
}

#[tokio::test]
async fn a_leader_that_is_dropped_leaves_its_turn() {
    let setup = Setup::new(3600);
    {
        let mut leader = pin!(setup.memory.get(pending));
        assert!(now_or_never(leader.as_mut()).await.is_none());
        let mut second = pin!(setup.memory.get(pending));
        assert!(now_or_never(second.as_mut()).await.is_none());
    }
    assert_eq!(setup.get().await, "token-1");

    // One that waits takes over when the leader goes.
    setup.clock.pass(3600);
    let mut leader = Box::pin(setup.memory.get(pending));
    assert!(now_or_never(leader.as_mut()).await.is_none());
    let mut next = pin!(setup.get());
    assert!(now_or_never(next.as_mut()).await.is_none());
    drop(leader);
    assert_eq!(next.await, "token-2");
    assert_eq!(setup.calls(), 2);
}

#[tokio::test]
async fn a_leader_that_panics_leaves_its_turn() {
    let setup = Arc::new(Setup::new(3600));
    let leader = setup.clone();
    let task = tokio::spawn(async move {
        leader.memory.get(|| async { panic!("a fault in a provider") }).await.map(drop)
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(setup.get().await, "token-1");
}

#[tokio::test]
async fn empty_and_expired_credentials_are_refused() {
    let setup = Setup::new(3600);
    let now = setup.clock.now().time;
    let get = async |credential: Credential| setup.memory.get(|| ready(Ok(credential))).await;
    let aws = |id: &str, secret: &str, session: &str| {
        Credential::Aws(crate::AwsKeys {
            access_key_id: id.to_owned(),
            secret_access_key: Zeroizing::new(secret.to_owned()),
            session_token: Zeroizing::new(session.to_owned()),
            expiration: now.plus(60),
        })
    };
    for empty in [token("", now.plus(60)), aws("", "s", "t"), aws("i", "", "t"), aws("i", "s", "")]
    {
        let error = get(empty).await.unwrap_err();
        assert!(matches!(error, Error::Empty { call: "AssumeRole" }), "{error}");
    }
    for left in [0, 1, MARGIN] {
        let error = get(token("late", now.plus(left))).await.unwrap_err();
        assert!(matches!(error, Error::Expired { call: "AssumeRole" }), "{error}");
    }
    // Nothing of it was kept.
    assert_eq!(setup.get().await, "token-1");
    setup.memory.invalidate();
    assert!(get(aws("i", "s", "t")).await.is_ok());
    setup.memory.invalidate();
    assert!(get(token("in time", now.plus(MARGIN + 1))).await.is_ok());

    // What a service issues empty does not take the place of a valid one.
    setup.memory.invalidate();
    assert_eq!(setup.get().await, "token-2");
    setup.clock.pass(3500);
    assert_eq!(name(&get(token("", now.plus(9000))).await.unwrap()), "token-2");
}

#[tokio::test]
async fn an_invalidated_credential_is_fetched_anew() {
    let setup = Setup::new(3600);
    assert_eq!(setup.get().await, "token-1");
    setup.memory.invalidate();
    setup.get_while_down().await.unwrap_err();
    assert_eq!(setup.get().await, "token-3");

    // Invalidated while it is being fetched: who waited for that gets it, nobody else.
    setup.clock.pass(3600);
    let answer = Notify::new();
    let fetched = async {
        setup
            .memory
            .get(|| async {
                let fetched = setup.issue();
                answer.notified().await;
                Ok(fetched)
            })
            .await
    };
    let mut fetched = pin!(fetched);
    assert!(now_or_never(fetched.as_mut()).await.is_none());
    setup.memory.invalidate();
    let mut later = pin!(setup.get());
    assert!(now_or_never(later.as_mut()).await.is_none());
    answer.notify_one();
    assert_eq!(name(&fetched.await.unwrap()), "token-4");
    assert_eq!(later.await, "token-5");
    assert_eq!(setup.get().await, "token-5");
}

#[tokio::test]
async fn a_clock_that_is_set_back_extends_nothing() {
    let setup = Setup::new(3600);
    setup.get().await;
    setup.clock.pass(1800);
    setup.clock.set_back(1800);
    setup.clock.pass(1800 - MARGIN);
    // By the wall clock it would have half an hour left.
    setup.get_while_down().await.unwrap_err();
    setup.clock.set_back(u64::MAX);
    setup.get_while_down().await.unwrap_err();
    assert_eq!(setup.get().await, "token-4");
}

#[tokio::test]
async fn a_service_that_gives_the_same_token_again_is_not_asked_at_once() {
    let setup = Setup::new(3600);
    let expiration = setup.clock.now().time.plus(3600);
    let get = async || {
        setup.memory.get(|| ready(Ok(setup.issue()).map(|_| token("same", expiration)))).await
    };
    get().await.unwrap();
    setup.clock.pass(3600 - 600);
    get().await.unwrap();
    get().await.unwrap();
    assert_eq!(setup.calls(), 2);
    setup.clock.pass(38);
    get().await.unwrap();
    assert_eq!(setup.calls(), 3);
}
