//! Calls that come together share a statement, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use obsession_core::conformance::count_up;
use obsession_core::{Create, Delete, Effect, SessionIndex, SessionStore, Touch, Update};
use obsession_sqlx::{FailureKind, SqliteStore};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::common::{self, create, full, in_an_hour, key, kind, of, record, rewritten, touch};
use crate::file::{File, Other};

/// Has a write wait for the file, so that whatever comes now gathers behind it.
async fn hold(store: &SqliteStore, other: &mut Other) -> JoinSet<()> {
    other.run("BEGIN IMMEDIATE").await;
    let first = store.clone();
    let mut held = JoinSet::new();
    held.spawn(async move { create(&first, &record(u64::MAX)).await });
    sleep(Duration::from_millis(30)).await;
    held
}

async fn patient(file: &File) -> SqliteStore {
    let builder = file.builder().deadline(Duration::from_secs(20));
    let builder = builder.migrate().await.unwrap();
    builder.connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_sends_as_few_statements_as_it_can() {
    let file = File::new();
    let store = file.store().await;
    let counted = common::cost(store.clone(), || store.statements()).await;
    // A new subject is found by an update that would keep the old one, which is all that others need.
    let login = ("login", 4);
    let expected = common::STATEMENTS.map(|cost| if cost.0 == login.0 { login } else { cost });
    assert_eq!(counted, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_gathered_are_one_statement_a_kind() {
    let file = File::new();
    let store = patient(&file).await;
    for n in 0..60 {
        create(&store, &record(n)).await;
    }
    let olds: Vec<_> = {
        let mut olds = Vec::new();
        for n in 0..60 {
            olds.push(store.load(&key(n)).await.unwrap().unwrap());
        }
        olds
    };
    let mut other = file.other().await;
    let before = store.statements();
    let held = hold(&store, &mut other).await;
    let mut calls = JoinSet::new();
    for (n, old) in olds.into_iter().enumerate() {
        let store = store.clone();
        calls.spawn(async move {
            let done = match n % 4 {
                0 => {
                    store
                        .update(old.revision, &rewritten(&old, b"new"))
                        .await
                        .unwrap()
                        == Update::Updated
                }
                1 => touch(&store, &old, in_an_hour()).await.unwrap() == Touch::Touched,
                2 => store.delete(&old.key).await.unwrap() == Delete::Deleted,
                _ => store.create(&record(1000 + n as u64)).await.unwrap() == Create::Created,
            };
            assert!(done, "call {n}");
        });
    }
    sleep(Duration::from_millis(50)).await;
    other.run("COMMIT").await;
    held.join_all().await;
    calls.join_all().await;
    assert_eq!(
        store.statements() - before,
        1 + 4,
        "the first, and 60 writes of 4 kinds"
    );
    assert!(store.load(&key(2)).await.unwrap().is_none());
    assert_eq!(&*store.load(&key(4)).await.unwrap().unwrap().body, b"new");
    assert!(store.load(&key(1003)).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_fits_is_several_statements() {
    let file = File::new();
    let store = patient(&file).await;
    let mut other = file.other().await;
    let before = store.statements();
    let held = hold(&store, &mut other).await;
    let mut calls = JoinSet::new();
    for n in 0..300 {
        let store = store.clone();
        calls.spawn(async move { create(&store, &record(n)).await });
    }
    sleep(Duration::from_millis(100)).await;
    other.run("COMMIT").await;
    held.join_all().await;
    calls.join_all().await;
    let statements = store.statements() - before;
    assert_eq!(
        statements,
        1 + 3,
        "the first, and 300 rows, 128 a statement"
    );
    for n in 0..300 {
        assert!(store.load(&key(n)).await.unwrap().is_some(), "record {n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_comes_alone_goes_alone_and_at_once() {
    let file = File::new();
    let store = file.store().await;
    let mut known = record(1);
    let before = store.statements();
    create(&store, &known).await;
    for n in 0..100_u8 {
        let next = rewritten(&known, &[n]);
        assert_eq!(
            store.update(known.revision, &next).await.unwrap(),
            Update::Updated
        );
        assert_eq!(store.load(&next.key).await.unwrap().as_ref(), Some(&next));
        known = next;
    }
    // One each: there is no second look at what went as it should.
    assert_eq!(store.statements() - before, 201);
}

/// A trigger of the application's refuses one session. In one statement with it, the others were to
/// fail as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_refused_is_nobody_elses_failure() {
    let file = File::new();
    let store = patient(&file).await;
    let mut other = file.other().await;
    other
        .run(
            "CREATE TRIGGER refusal BEFORE INSERT ON sessions WHEN NEW.subject = 'refused' \
             BEGIN SELECT RAISE(ABORT, 'not this one'); END",
        )
        .await;
    let before = store.statements();
    let held = hold(&store, &mut other).await;
    let mut calls = JoinSet::new();
    for n in 0..20 {
        let store = store.clone();
        calls.spawn(async move {
            if n == 7 {
                let refused = store.create(&of("refused", record(n))).await.unwrap_err();
                assert_eq!(kind(&refused), FailureKind::Rejected);
                assert_eq!(refused.effect(), Effect::NotApplied);
            } else {
                create(&store, &record(n)).await;
            }
        });
    }
    sleep(Duration::from_millis(50)).await;
    other.run("COMMIT").await;
    held.join_all().await;
    calls.join_all().await;
    assert_eq!(
        store.statements() - before,
        1 + 1 + 20,
        "the first, then together, then one by one"
    );
    assert!(store.load(&key(7)).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writes_of_a_record_that_gathered_see_each_other() {
    let file = File::new();
    let store = patient(&file).await;
    let old = record(1);
    create(&store, &old).await;
    let mut other = file.other().await;
    let held = hold(&store, &mut other).await;
    let calls: JoinSet<_> = (0..32_u8)
        .map(|n| {
            let (store, old) = (store.clone(), old.clone());
            async move {
                let new = rewritten(&old, &[n]);
                (store.update(old.revision, &new).await.unwrap(), new)
            }
        })
        .collect();
    sleep(Duration::from_millis(50)).await;
    other.run("COMMIT").await;
    held.join_all().await;
    let answers = calls.join_all().await;
    let won = |(answer, _): &&(Update, _)| *answer == Update::Updated;
    let winners: Vec<_> = answers.iter().filter(won).collect();
    let [(_, winner)] = &winners[..] else {
        panic!("{} winners", winners.len());
    };
    for (answer, _) in &answers {
        let current = Update::Conflict(winner.clone());
        assert!(
            *answer == Update::Updated || *answer == current,
            "{answer:?}"
        );
    }
    assert_eq!(store.load(&old.key).await.unwrap().as_ref(), Some(winner));
}

#[tokio::test(flavor = "multi_thread")]
async fn loads_share_statements_and_get_their_own() {
    let file = File::new();
    let builder = file.builder().readers(1).deadline(Duration::from_secs(20));
    let store = builder.migrate().await.unwrap().connect().await.unwrap();
    let store = Arc::new(store);
    for n in 0..64 {
        create(&store, &of(&n.to_string(), record(n))).await;
    }
    let before = store.statements();
    let mut calls = JoinSet::new();
    for n in 0..64 {
        let store = Arc::clone(&store);
        calls.spawn(async move {
            for turn in 0..100 {
                // Every other one asks for what somebody else asks for, too, or for what is not there.
                let asked = if turn % 3 == 0 {
                    5
                } else {
                    n + 64 * (turn % 2)
                };
                let loaded = store.load(&key(asked)).await.unwrap();
                let subject = loaded.as_ref().and_then(|loaded| loaded.subject.as_deref());
                let expected = asked.to_string();
                assert_eq!(subject, (asked < 64).then_some(&*expected));
            }
        });
    }
    calls.join_all().await;
    let statements = store.statements() - before;
    assert!(
        statements < 6400 / 4,
        "{statements} statements for 6,400 loads"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_increments_of_64_tasks_are_all_counted() {
    let each = if full() { 1000 } else { 100 };
    let file = File::new();
    println!("{:?}", count_up(patient(&file).await, 64, each).await);
}

/// Updates that keep their subject are another statement than those that change it.
#[tokio::test(flavor = "multi_thread")]
async fn subjects_that_change_and_stay_may_gather() {
    let file = File::new();
    let store = patient(&file).await;
    let subjects = [None, Some("zoë"), Some("")];
    let mut olds = Vec::new();
    for (n, subject) in (0..18).zip(subjects.iter().cycle()) {
        let mut old = record(n);
        old.subject = subject.map(Into::into);
        create(&store, &old).await;
        olds.push(old);
    }
    let before = store.statements();
    let mut other = file.other().await;
    let held = hold(&store, &mut other).await;
    let mut calls = JoinSet::new();
    for (n, old) in olds.into_iter().enumerate() {
        let store = store.clone();
        calls.spawn(async move {
            let mut new = rewritten(&old, b"new");
            new.subject = subjects[n / 3 % 3].map(Into::into);
            let updated = store.update(old.revision, &new).await.unwrap();
            assert_eq!(updated, Update::Updated, "record {n}");
            assert_eq!(store.load(&new.key).await.unwrap(), Some(new));
        });
    }
    sleep(Duration::from_millis(50)).await;
    other.run("COMMIT").await;
    held.join_all().await;
    calls.join_all().await;
    // The first; those that stay, a look at the others, and these.
    assert!(store.statements() - before <= 1 + 3 + 18);
    assert_eq!(store.list("zoë", None, 100).await.unwrap().len(), 6);
    assert_eq!(store.list("", None, 100).await.unwrap().len(), 6);
}
