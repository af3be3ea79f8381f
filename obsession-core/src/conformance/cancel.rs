//! Calls whose futures are dropped: the record is as before or after, and the store is usable.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::Fixture;
use super::chance::Chance;
use super::fixture::{is_long, rewritten};
use super::races::race;
use crate::{Create, Delete, Record, SessionIndex, SessionKey, SessionStore, Touch, Update};

/// Between two polls, what works for the store gets this long.
const BETWEEN: Duration = Duration::from_micros(300);
/// No call is polled more often before it ends.
pub(super) const MOST_POLLS: usize = 500;
/// A store may go on with a dropped call by itself, so what does not agree is looked at again, after
/// so many milliseconds.
const PATIENCE: [u64; 4] = [0, 1, 30, 1000];
/// How many calls are dropped at random; `OBSESSION_CONFORMANCE=long` makes it ten times as many.
const RANDOM: usize = 2_000;

/// Polls `call` at most `polls` times and drops it then. Nothing if it had not ended.
pub(super) async fn cut<T>(call: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut call = pin!(call);
    for _ in 0..polls {
        let polled = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
        if let Poll::Ready(answer) = polled {
            return Some(answer);
        }
        tokio::time::sleep(BETWEEN).await;
    }
    None
}

/// Cancel-safe: a create that is dropped at any poll has made the whole record or nothing.
pub async fn cancel_of_a_create_at_every_poll<S: SessionStore>(at: Fixture<S>) {
    for polls in 0..MOST_POLLS {
        let record = at.record();
        let answer = cut(at.store.create(&record), polls).await;
        let seen = at.load(&record.key).await;
        assert!(seen.is_none() || seen.as_ref() == Some(&record), "{seen:?}");
        // Sent again, it is recognised or applied, and nothing else can have the key.
        let again = at.store.create(&record).await.expect("create");
        assert_eq!(again, Create::Created, "after {polls} polls");
        assert_eq!(at.load(&record.key).await, Some(record));
        if answer.is_some() {
            return;
        }
    }
    panic!("the create never ended");
}

/// Cancel-safe: an update that is dropped at any poll has been applied whole or not at all.
pub async fn cancel_of_an_update_at_every_poll<S: SessionStore>(at: Fixture<S>) {
    for polls in 0..MOST_POLLS {
        let old = at.created().await;
        let new = Record {
            subject: Some(Arc::from("new")),
            ..rewritten(&old, b"new")
        };
        let answer = cut(at.store.update(old.revision, &new), polls).await;
        let seen = at.load(&old.key).await.expect("the record");
        assert!(
            seen == old || seen == new,
            "neither before nor after: {seen:?}"
        );
        let last = rewritten(&old, b"last");
        match at.store.update(old.revision, &last).await.expect("update") {
            Update::Updated => assert_eq!(at.load(&old.key).await, Some(last)),
            Update::Conflict(current) => assert_eq!(current, new, "after {polls} polls"),
            Update::Gone => panic!("the record is live"),
        }
        if answer.is_some() {
            return;
        }
    }
    panic!("the update never ended");
}

/// Cancel-safe: a touch that is dropped at any poll has moved the deadline or not.
pub async fn cancel_of_a_touch_at_every_poll<S: SessionStore>(at: Fixture<S>) {
    for polls in 0..MOST_POLLS {
        let old = at.created().await;
        let later = old.expires_at.saturating_add(Duration::from_secs(5));
        let answer = cut(at.store.touch(&old.key, old.revision, later), polls).await;
        let seen = at.load(&old.key).await.expect("the record");
        let new = Record {
            expires_at: later,
            ..old.clone()
        };
        assert!(
            seen == old || seen == new,
            "neither before nor after: {seen:?}"
        );
        let again = at
            .store
            .touch(&old.key, old.revision, later)
            .await
            .expect("touch");
        assert_eq!(again, Touch::Touched);
        assert_eq!(at.load(&old.key).await, Some(new), "after {polls} polls");
        if answer.is_some() {
            return;
        }
    }
    panic!("the touch never ended");
}

/// Cancel-safe: a delete that is dropped at any poll has ended the record or not.
pub async fn cancel_of_a_delete_at_every_poll<S: SessionStore>(at: Fixture<S>) {
    for polls in 0..MOST_POLLS {
        let old = at.created().await;
        let answer = cut(at.store.delete(&old.key), polls).await;
        let seen = at.load(&old.key).await;
        assert!(seen.is_none() || seen.as_ref() == Some(&old), "{seen:?}");
        let again = at.store.delete(&old.key).await.expect("delete");
        assert!(matches!(again, Delete::Deleted | Delete::Gone));
        assert_eq!(at.load(&old.key).await, None, "after {polls} polls");
        let late = rewritten(&old, b"late");
        let late = at.store.update(old.revision, &late).await.expect("update");
        assert_eq!(late, Update::Gone);
        if answer.is_some() {
            return;
        }
    }
    panic!("the delete never ended");
}

/// Cancel-safe: a load that is dropped at any poll has changed nothing, and the next is right.
pub async fn cancel_of_a_load_at_every_poll<S: SessionStore>(at: Fixture<S>) {
    let (one, other) = (at.created().await, at.created().await);
    for polls in 0..MOST_POLLS {
        let answer = cut(at.store.load(&one.key), polls).await;
        assert_eq!(
            at.load(&other.key).await.as_ref(),
            Some(&other),
            "after {polls} polls"
        );
        assert_eq!(at.load(&one.key).await.as_ref(), Some(&one));
        if answer.is_some() {
            return;
        }
    }
    panic!("the load never ended");
}

/// Cancel-safe: a cleanup that is dropped at any poll has taken nothing that is live.
pub async fn cancel_of_a_cleanup_at_every_poll<S: SessionStore>(at: Fixture<S>) {
    let live = at.created().await;
    for polls in 0..MOST_POLLS {
        let expired = Record {
            expires_at: at.time.now(),
            ..at.record()
        };
        let _ = at.store.create(&expired).await.expect("create");
        let answer = cut(at.store.delete_expired(10), polls).await;
        assert_eq!(
            at.load(&live.key).await.as_ref(),
            Some(&live),
            "after {polls} polls"
        );
        at.store.delete_expired(1000).await.expect("cleanup");
        assert_eq!(at.store.delete_expired(1000).await.expect("cleanup"), 0);
        if answer.is_some() {
            return;
        }
    }
    panic!("the cleanup never ended");
}

/// Read your writes: what became of a dropped write shows in a load as in the next write.
pub async fn cancel_of_a_write_is_not_hidden_from_loads<S: SessionStore>(at: Fixture<S>) {
    for polls in 0..MOST_POLLS {
        let mut ended = true;
        for write in 0..3 {
            let mut agreed = false;
            for wait in PATIENCE {
                // What has been loaded may be in a cache.
                let old = at.created().await;
                assert_eq!(at.load(&old.key).await.as_ref(), Some(&old));
                let next = rewritten(&old, b"next");
                let later = old.expires_at.saturating_add(Duration::from_secs(5));
                ended &= match write {
                    0 => cut(at.store.update(old.revision, &next), polls)
                        .await
                        .is_some(),
                    1 => cut(at.store.touch(&old.key, old.revision, later), polls)
                        .await
                        .is_some(),
                    _ => cut(at.store.delete(&old.key), polls).await.is_some(),
                };
                tokio::time::sleep(Duration::from_millis(wait)).await;
                let seen = at.load(&old.key).await;
                agreed = at.met(&old).await == seen;
                if agreed {
                    break;
                }
            }
            assert!(agreed, "a load hides what was written, after {polls} polls");
        }
        if ended {
            return;
        }
    }
    panic!("the writes never ended");
}

/// Index: after an update that is dropped at any poll it has the record once, as a load shows it.
pub async fn cancel_of_an_update_leaves_the_index_right<S: SessionIndex>(at: Fixture<S>) {
    for polls in 0..MOST_POLLS {
        let old = at.of("zoë").await;
        let new = Record {
            subject: Some(Arc::from("yan")),
            ..rewritten(&old, b"yan's")
        };
        let answer = cut(at.store.update(old.revision, &new), polls).await;
        let mut agreed = false;
        for wait in PATIENCE {
            tokio::time::sleep(Duration::from_millis(wait)).await;
            let once = [at.load(&old.key).await.expect("the record")];
            let mut listed = at.store.list("zoë", None, 9).await.expect("list");
            listed.extend(at.store.list("yan", None, 9).await.expect("list"));
            let count = at.store.count().await.expect("count");
            agreed = listed == once && at.scanned().await == once && count == 1;
            if agreed {
                break;
            }
        }
        assert!(agreed, "the index is another, after {polls} polls");
        at.delete(&old.key).await;
        if answer.is_some() {
            return;
        }
    }
    panic!("the update never ended");
}

/// Isolation: after many calls that were dropped at random, every load is of its own key.
pub async fn cancel_of_many_calls_never_gives_anothers_record<S: SessionStore>(at: Fixture<S>) {
    const ACTORS: usize = 8;
    let mut records = Vec::new();
    for n in 0..ACTORS * 2 {
        let mut record = at.record();
        record.body = own_body(&record.key, n * 100 + 1).into();
        at.create(&record).await;
        records.push(record);
    }
    let each = RANDOM * if is_long() { 10 } else { 1 } / ACTORS;
    race(&at.store, ACTORS, |actor, store| {
        let records = records.clone();
        async move {
            let mut chance = Chance::new(actor as u64);
            for _ in 0..each {
                // Each writes records of its own, and loads all.
                let own = &records[actor * 2 + chance.below(2)];
                let any = &records[chance.below(records.len())];
                any_call_cut(&*store, own, any, &mut chance).await;
            }
        }
    })
    .await;
    for record in &records {
        assert_its_own(&*at.store, record).await;
    }
}

async fn any_call_cut<S: SessionStore>(store: &S, own: &Record, any: &Record, chance: &mut Chance) {
    let polls = chance.below(4);
    match chance.below(4) {
        0 => drop(cut(store.load(&own.key), polls).await),
        1 => {
            let now = assert_its_own(store, own).await;
            let later = now.expires_at.saturating_add(Duration::from_millis(1));
            drop(cut(store.touch(&now.key, now.revision, later), polls).await);
        }
        2 => {
            let now = assert_its_own(store, own).await;
            let next = rewritten(&now, &now.body);
            drop(cut(store.update(now.revision, &next), polls).await);
        }
        _ => drop(assert_its_own(store, any).await),
    }
}

/// Loads this record, whose body says whose it is.
async fn assert_its_own<S: SessionStore>(store: &S, record: &Record) -> Record {
    let seen = store.load(&record.key).await.expect("load");
    let seen = seen.expect("the record");
    assert_eq!(seen.key, record.key);
    assert!(seen.body == record.body, "another's body");
    seen
}

/// A body that can be told from every other key's.
fn own_body(key: &SessionKey, len: usize) -> Vec<u8> {
    key.as_bytes()
        .iter()
        .copied()
        .cycle()
        .take(len.max(SessionKey::LEN))
        .collect()
}

/// Read your writes: an answer that nobody waited for is not given to the next that asks.
pub async fn cancel_of_a_load_leaves_no_old_answer<S: SessionStore>(at: Fixture<S>) {
    let mut record = at.created().await;
    for polls in 0..MOST_POLLS {
        let answer = cut(at.store.load(&record.key), polls).await;
        let next = rewritten(&record, &polls.to_be_bytes());
        at.update(record.revision, &next).await;
        assert_eq!(
            at.load(&record.key).await.as_ref(),
            Some(&next),
            "after {polls} polls"
        );
        record = next;
        if answer.is_some() {
            return;
        }
    }
    panic!("the load never ended");
}

/// Cancel-safe: an update that was dropped is not made after all over a later one.
pub async fn cancel_of_an_update_comes_in_time_or_never<S: SessionStore>(at: Fixture<S>) {
    for polls in 0..MOST_POLLS {
        let old = at.created().await;
        let dropped = rewritten(&old, b"dropped");
        let answer = cut(at.store.update(old.revision, &dropped), polls).await;
        let last = rewritten(&old, b"last");
        let mut expected = old.revision;
        while let Update::Conflict(current) =
            at.store.update(expected, &last).await.expect("update")
        {
            assert_eq!(current, dropped);
            expected = current.revision;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(at.load(&old.key).await, Some(last), "after {polls} polls");
        if answer.is_some() {
            return;
        }
    }
    panic!("the update never ended");
}
