//! Counting up by many requests at once, for a size of one's own choice.

use std::time::{Duration, Instant};

use crate::{SessionManager, SessionStore};

/// What it took to count up.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// How long the requests took together.
    pub time: Duration,
    /// How often changes were made again on a newer record, in all requests.
    pub replays: u64,
}

/// Adds one to a value of one session, `each` times in each of `tasks` tasks, and panics unless the
/// end is exactly their product. Every increment is a request with a handle of its own, and nothing is
/// tried again here.
///
/// The suite does this with a few dozen requests; 64 tasks of 1,000 are a test of a minute or so.
pub async fn count_up(store: impl SessionStore, tasks: u64, each: u64) -> Counted {
    let manager = SessionManager::builder(store)
        // All of them want the one record, so some wait for long on a slow disk.
        .deadline(Duration::from_secs(60))
        .build();
    let session = manager.open(None);
    session.insert("n", &0_u64).expect("insert");
    session.save().await.expect("save");
    let id = session.id().await.expect("id");

    let begun = Instant::now();
    let increments = |_| {
        let (manager, id) = (manager.clone(), id.clone());
        tokio::spawn(async move {
            let mut replays = 0;
            for _ in 0..each {
                let session = manager.open(id.clone());
                let updated = session.update("n", |n: &mut u64| *n += 1).await;
                updated.expect("update");
                let _ = session.finish(true).await.expect("finish");
                assert!(!session.activity().dropped, "the increment was dropped");
                replays += u64::from(session.activity().replays);
            }
            replays
        })
    };
    let mut replays = 0;
    for task in (0..tasks).map(increments).collect::<Vec<_>>() {
        replays += task.await.expect("a task");
    }
    let time = begun.elapsed();
    let n = manager.open(id).get::<u64>("n").await.expect("get");
    assert_eq!(n, Some(tasks * each), "increments that are counted");
    Counted { time, replays }
}
