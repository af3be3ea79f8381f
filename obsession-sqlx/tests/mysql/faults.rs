//! A network that misbehaves: every call ends by its deadline, and afterwards everything is right.

use std::time::{Duration, Instant};

use obsession_core::{Create, Effect, SessionIndex, SessionStore, Update};
use testing::{Mode, Proxy};

use crate::SERVER;
use crate::common::{self, create, record, rewritten};

const DEADLINE: Duration = Duration::from_millis(400);
/// How much later a call may end on a busy machine.
const SLACK: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn calls_end_in_time_and_the_store_recovers() {
    for mode in [
        Mode::Delay(DEADLINE * 3),
        Mode::HalfOpen,
        Mode::CutAnswers,
        Mode::Refuse,
    ] {
        let proxy = Proxy::start(SERVER.port()).await.unwrap();
        let port = SERVER.port().to_string();
        let url = SERVER.url().replace(&port, &proxy.port().to_string());
        let builder = common::mysql::builder(&url, &common::table())
            .readers(1)
            .writers(1);
        let builder = builder.migrate().await.unwrap().deadline(DEADLINE);
        let store = builder.connect().await.unwrap();
        let old = record(1);
        let next = rewritten(&old, b"next");
        create(&store, &old).await;
        assert!(store.load(&old.key).await.unwrap().is_some());
        proxy.set(mode);
        let begun = Instant::now();
        let error = store.update(old.revision, &next).await.unwrap_err();
        assert!(
            begun.elapsed() < DEADLINE + SLACK,
            "{mode:?}: {:?}",
            begun.elapsed()
        );
        // What was refused can not have been read either, but that is not known here.
        assert!(matches!(
            error.effect(),
            Effect::Unknown | Effect::NotApplied
        ));
        for _ in 0..2 {
            let begun = Instant::now();
            store.load(&old.key).await.unwrap_err();
            store.scan(None, 9).await.unwrap_err();
            assert!(begun.elapsed() < (DEADLINE + SLACK) * 2, "{mode:?}");
        }
        proxy.set(Mode::Pass);
        let until = Instant::now() + Duration::from_secs(10);
        while let Err(error) = store.load(&old.key).await {
            assert!(Instant::now() < until, "{error:?}");
        }
        tokio::time::sleep(DEADLINE * 6).await;
        // Whether it was applied or not, it has been now.
        let updated = store.update(old.revision, &next).await.unwrap();
        assert_eq!(updated, Update::Updated, "{mode:?}");
        assert_eq!(store.load(&old.key).await.unwrap(), Some(next));
        assert_eq!(store.create(&record(2)).await.unwrap(), Create::Created);
    }
}
