//! Every fault on every call does what it says.

use std::task::{Context, Poll, Waker};

use super::*;
use crate::{Effect, MemoryStore};

const READS: [&str; 4] = ["load", "list", "scan", "count"];
const WRITES: [&str; 6] = [
    "create",
    "update",
    "touch",
    "delete",
    "delete_expired",
    "delete_subject",
];
const TIME: Duration = Duration::from_secs(5);

/// The store inside counts the calls that are made of it.
type Twice = Faulty<Faulty<MemoryStore>>;

async fn store() -> (Twice, Record) {
    let store = Faulty::new(Faulty::new(MemoryStore::new()));
    let record = record();
    let _ = store.inner().inner().create(&record).await.unwrap();
    (store, record)
}

fn record() -> Record {
    Record {
        key: "0123456789abcdef".parse().unwrap(),
        revision: Revision::from_u64(1),
        subject: Some("zoë".into()),
        created_at: Timestamp::from_millis(0),
        expires_at: Timestamp::MAX,
        body: [].into(),
    }
}

/// Makes a call and gives the answer as text.
async fn call(store: &impl SessionIndex, name: &str, record: &Record) -> Result<String, Effect> {
    fn text<T: fmt::Debug>(answer: Result<T, StoreError>) -> Result<String, Effect> {
        let answer = answer.map(|answer| format!("{answer:?}"));
        answer.map_err(|error| error.effect())
    }
    let (key, revision) = (&record.key, record.revision);
    match name {
        "load" => text(store.load(key).await),
        "create" => text(store.create(record).await),
        "update" => text(store.update(revision, record).await),
        "touch" => text(store.touch(key, revision, Timestamp::MAX).await),
        "delete" => text(store.delete(key).await),
        "delete_expired" => text(store.delete_expired(9).await),
        "list" => text(store.list("zoë", None, 9).await),
        "delete_subject" => text(store.delete_subject("zoë", None).await),
        "scan" => text(store.scan(None, 9).await),
        "count" => text(store.count().await),
        _ => panic!("no such call: {name}"),
    }
}

/// What a call with this fault gives, nothing if that is no answer, and how often it was made.
async fn with(fault: Fault, name: &str) -> (Option<Result<String, Effect>>, usize) {
    let (store, record) = store().await;
    store.plan([fault]);
    let answer = tokio::time::timeout(2 * TIME, call(&store, name, &record)).await;
    assert_eq!(store.calls(), [name]);
    let made = store.inner().calls();
    assert!(made.iter().all(|made| *made == name), "{made:?}");
    (answer.ok(), made.len())
}

async fn without(name: &str) -> Option<Result<String, Effect>> {
    let (store, record) = store().await;
    Some(call(store.inner().inner(), name, &record).await)
}

#[tokio::test(start_paused = true)]
async fn what_is_passed_on_is_made_once_and_answers_as_ever() {
    for name in READS.into_iter().chain(WRITES) {
        let plain = without(name).await;
        for fault in [
            Fault::Pass,
            Fault::Delay(TIME),
            Fault::Yield,
            Fault::behind(std::future::ready(())),
        ] {
            assert_eq!(with(fault, name).await, (plain.clone(), 1));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_says_what_is_known_and_what_is_lost_is_made_or_not() {
    let refused = Some(Err(Effect::NotApplied));
    let unknown = Some(Err(Effect::Unknown));
    for name in READS.into_iter().chain(WRITES) {
        let lost = if READS.contains(&name) {
            &refused
        } else {
            &unknown
        };
        assert_eq!(with(Fault::Refuse, name).await, (refused.clone(), 0));
        assert_eq!(with(Fault::LoseRequest, name).await, (lost.clone(), 0));
        assert_eq!(with(Fault::LoseAnswer, name).await, (lost.clone(), 1));
        assert_eq!(with(Fault::Hang, name).await, (None, 0));
        assert_eq!(with(Fault::HangAfter, name).await, (None, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeated_call_gives_the_second_answer() {
    for name in READS.into_iter().chain(WRITES) {
        let (answer, made) = with(Fault::Repeat, name).await;
        let second = match name {
            "delete" => Some(Ok("Gone".to_owned())),
            "delete_subject" => Some(Ok("0".to_owned())),
            _ => without(name).await,
        };
        assert_eq!((answer, made), (second, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_before_the_call() {
    let (store, record) = store().await;
    store.plan([Fault::Delay(TIME)]);
    let begun = tokio::time::Instant::now();
    let early = tokio::time::timeout(TIME / 2, store.delete(&record.key)).await;
    assert!(early.is_err());
    assert!(store.inner().calls().is_empty());
    store.plan([Fault::Delay(TIME)]);
    assert_eq!(store.delete(&record.key).await.unwrap(), Delete::Deleted);
    assert!(begun.elapsed() >= TIME + TIME / 2);
}

#[tokio::test]
async fn a_call_that_yields_does_so_before_and_after() {
    let (store, record) = store().await;
    store.set_always(Fault::Yield);
    let mut call = store.delete(&record.key);
    let mut poll = || {
        call.as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .map(Result::unwrap)
    };
    assert_eq!(poll(), Poll::Pending);
    assert!(store.inner().calls().is_empty());
    assert_eq!(poll(), Poll::Pending);
    assert_eq!(store.inner().calls(), ["delete"]);
    assert_eq!(poll(), Poll::Ready(Delete::Deleted));
}

#[tokio::test]
async fn a_load_is_given_the_record_of_another() {
    let (store, theirs) = store().await;
    store.set_always(Fault::Answer(theirs.clone()));
    let key = "fedcba9876543210".parse().unwrap();
    assert_eq!(store.load(&key).await.unwrap(), Some(theirs.clone()));
    assert!(store.inner().calls().is_empty());
    assert_eq!(store.delete(&theirs.key).await.unwrap(), Delete::Deleted);
    assert_eq!(store.count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_rival_is_first_and_once() {
    let (store, record) = store().await;
    let store = Arc::new(store);
    let (rival, key) = (Arc::clone(&store), record.key);
    let behind = Fault::behind(async move {
        assert_eq!(rival.delete(&key).await.unwrap(), Delete::Deleted);
    });
    store.plan([behind.clone(), Fault::Pass, behind]);
    assert_eq!(store.load(&key).await.unwrap(), None);
    let _ = store.create(&record).await.unwrap();
    assert!(store.load(&key).await.unwrap().is_some());
    assert_eq!(store.calls(), ["load", "delete", "create", "load"]);
}

#[tokio::test]
async fn planned_faults_come_before_chance_and_chance_before_what_is_always() {
    let (store, _) = store().await;
    store.set_always(Fault::Refuse);
    store.set_random(1, 1, [Fault::Pass]);
    store.plan([Fault::LoseRequest, Fault::Pass]);
    assert!(store.count().await.is_err());
    assert_eq!(store.count().await.unwrap(), 1);
    assert_eq!(store.count().await.unwrap(), 1);
    for nothing in [vec![], vec![Fault::Pass]] {
        store.set_random(1, usize::from(nothing.is_empty()), nothing);
        assert!(store.count().await.is_err());
    }
    store.set_always(Fault::Pass);
    assert_eq!(store.count().await.unwrap(), 1);
}

#[tokio::test]
async fn the_same_seed_makes_the_same_faults() {
    async fn faults(seed: u64) -> Vec<bool> {
        let (store, _) = store().await;
        store.set_random(seed, 4, [Fault::Refuse, Fault::Repeat]);
        let mut failed = Vec::new();
        for _ in 0..400 {
            failed.push(store.count().await.is_err());
        }
        // Of 400 calls about 50 are refused and about 50 made twice.
        let refused = failed.iter().filter(|failed| **failed).count();
        let twice = store.inner().calls().len() + refused - 400;
        assert!((25..75).contains(&refused), "{refused}");
        assert!((25..75).contains(&twice), "{twice}");
        failed
    }
    assert_eq!(faults(7).await, faults(7).await);
    assert_ne!(faults(7).await, faults(8).await);
}
