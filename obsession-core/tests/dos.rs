//! The table of attacks that exhaust something, row by row, as far as the server is not needed:
//! `dos_09` is its ninth row. The others are in `obsession-hyper/tests/dos.rs`.
//!
//! With `OBSESSION_FULL=1` in the sizes of the table.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{Fault, at, at_with};
use obsession_core::{Error, Serializer};
use serde::{Deserialize, Serialize};

/// The size of a test, in full and else.
fn sized(full: usize, else_: usize) -> usize {
    std::env::var_os("OBSESSION_FULL").map_or(else_, |_| full)
}

#[tokio::test]
async fn dos_09_a_session_that_grows_is_refused_before_the_store_is_asked() {
    let at = at();
    let id = at.stored().await;
    // A little with each request, as a site does that keeps whatever it is sent.
    let mut refused = 0;
    for n in 0..100 {
        let session = at.open(&id);
        session
            .insert(&format!("{n:03}"), &"x".repeat(1000))
            .unwrap();
        let answer = session.save().await;
        let calls = at.store.calls();
        match answer {
            Ok(()) => assert_eq!(calls, ["load", "update"]),
            Err(Error::TooLarge { size, limit }) => {
                assert!(size > limit && limit == 64 * 1024);
                assert_eq!(calls, ["load"]);
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!((30..40).contains(&refused), "{refused}");
    assert!(at.record(&id).await.unwrap().body.len() <= 64 * 1024);
    // All at once.
    let session = at.open(&id);
    session
        .insert("all", &"x".repeat(sized(100, 10) << 20))
        .unwrap();
    assert!(matches!(session.save().await, Err(Error::TooLarge { .. })));
    assert_eq!(at.store.calls(), ["load"]);
}

/// However many names there are, or however they are chosen, one more takes as long: ten times the
/// names take about ten times as long, and not a hundred times.
#[tokio::test]
async fn dos_10_a_name_more_takes_as_long_however_many_there_are() {
    let many = sized(1_000_000, 100_000);
    let time = async |names: usize| {
        let at = at();
        let session = at.open(&at.stored().await);
        let begun = Instant::now();
        for n in 0..names {
            session.insert(&format!("{n}"), &1).unwrap();
        }
        let took = begun.elapsed();
        assert_eq!(session.len().await.unwrap(), names + 1);
        at.store.calls();
        assert!(matches!(session.save().await, Err(Error::TooLarge { .. })));
        assert_eq!(at.store.calls(), [""; 0]);
        took
    };
    let mut ratios = Vec::new();
    for _ in 0..3 {
        let few = time(many / 10).await;
        ratios.push(time(many).await.as_secs_f64() / few.as_secs_f64());
    }
    ratios.sort_unstable_by(f64::total_cmp);
    assert!(ratios[0] < 40.0, "{ratios:?}");
}

/// The same for a request that sets all names of a session again, to what they are.
#[tokio::test]
async fn dos_10_to_set_all_names_again_takes_a_time_for_each() {
    let at = at();
    let time = async |names: usize| {
        let id = at.stored().await;
        let mut took = Duration::ZERO;
        for time in 0..2 {
            let session = at.open(&id);
            for n in 0..names {
                session.insert(&format!("{n}"), &1).unwrap();
            }
            at.store.calls();
            let begun = Instant::now();
            session.save().await.unwrap();
            took = begun.elapsed();
            let calls = &["load", "update"][..2 - time];
            assert_eq!(at.store.calls(), calls, "the second time nothing is new");
        }
        took
    };
    let mut ratios = Vec::new();
    for _ in 0..5 {
        let few = time(500).await;
        ratios.push(time(5000).await.as_secs_f64() / few.as_secs_f64());
    }
    ratios.sort_unstable_by(f64::total_cmp);
    assert!(ratios[0] < 40.0, "{ratios:?}");
}

/// A value as deep as it is long.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Nest(Vec<Nest>);

/// What a site lets grow deeper with each request is refused where it could not be read any more,
/// and what is stored stays readable: by a thread with the stack that threads have.
#[tokio::test]
async fn dos_11_a_value_that_is_nested_too_deep_is_refused_and_what_was_there_stays() {
    for serializer in [Serializer::Json, Serializer::Postcard] {
        let at = at_with(|builder| builder.serializer(serializer));
        let id = at.stored().await;
        let mut deepest = 0;
        for levels in (1..200).chain([1000]) {
            let session = at.open(&id);
            match session.insert("nest", &nested(levels)) {
                Ok(()) => deepest = levels,
                Err(Error::Encode { name, source }) => {
                    assert!(levels > 126 && &*name == "nest", "{levels}");
                    assert_eq!(source.to_string(), "nested deeper than 127 levels");
                }
                Err(error) => panic!("{error}"),
            }
            session.save().await.unwrap();
            let read = at.open(&id).get::<Nest>("nest").await.unwrap();
            assert_eq!(read, Some(nested(deepest)), "{levels} levels");
        }
        assert_eq!(deepest, 126, "and the innermost, which is empty");
    }
}

fn nested(levels: usize) -> Nest {
    (0..levels).fold(Nest(Vec::new()), |inner, _| Nest(vec![inner]))
}

/// A thousand requests of one session at once: each is done or told that it is not, after as many
/// tries as a request may have, and a client of another session notices nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dos_12_a_thousand_writes_to_one_session_end_and_hold_up_nobody_else() {
    const STORM: usize = 1000;
    let at = Arc::new(at());
    at.store.set_always(Fault::Yield);
    let (id, other) = (at.stored().await, at.stored().await);
    let done = Arc::new(AtomicUsize::new(0));
    let storm: Vec<_> = (0..STORM)
        .map(|_| {
            let (at, id, done) = (Arc::clone(&at), id.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let session = at.open(&id);
                session.update("n", |n: &mut usize| *n += 1).await.unwrap();
                match session.finish(true).await {
                    Ok(_) => _ = done.fetch_add(1, Ordering::Relaxed),
                    Err(Error::Conflict) => {}
                    Err(error) => panic!("{error}"),
                }
            })
        })
        .collect();
    let (mut slowest, mut others) = (Duration::ZERO, 0);
    while storm.iter().any(|task| !task.is_finished()) {
        let begun = Instant::now();
        let session = at.open(&other);
        session.update("n", |n: &mut usize| *n += 1).await.unwrap();
        let _ = session.finish(true).await.unwrap();
        slowest = slowest.max(begun.elapsed());
        others += 1;
    }
    for task in storm {
        task.await.unwrap();
    }
    let done = done.load(Ordering::Relaxed);
    assert_eq!(at.other(&id).get("n").await.unwrap(), Some(done));
    assert!(done >= STORM * 9 / 10, "{done}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    // A load and an update for each, and in the queue one more for who has lost.
    let calls = at.store.calls().len() - 2 * others;
    assert!(calls <= 4 * STORM, "{calls} calls");
    println!("{done} of {STORM} done with {calls} calls, the slowest of others {slowest:?}");
}
