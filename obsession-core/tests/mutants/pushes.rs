//! Stores that say that they push, and do not, or too late, or for some, or all the time.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use obsession_core::{Bell, Delete, SessionKey, SessionStore};
use tokio::sync::oneshot;

use crate::bug::{Bug, Entry};
use crate::sound::{Answer, Sound};

pub(crate) fn all() -> Vec<Entry> {
    vec![
        Entry::of::<PushesNothing>(),
        Entry::of::<WatchesWhenFirstPolled>(),
        Entry::of::<RingsOnceARecord>(),
        Entry::of::<RingsForOthersAlone>(),
        Entry::of::<RingsForTheLastWhoWatches>(),
        Entry::of::<WatchesOneRecordAtATime>(),
        Entry::of::<ForgetsAllWhenOneStops>(),
        Entry::of::<RingsAllTheTime>(),
        Entry::of::<SaysNothingOfTheEndOfASubject>(),
    ]
}

/// It has a place for those who watch, and nobody rings there.
#[derive(Debug, Default)]
pub(crate) struct PushesNothing;

#[async_trait]
impl Bug for PushesNothing {
    fn caught_by(&self) -> &'static str {
        "push_tells_of_a_delete"
    }

    async fn watch(&self, _: &Sound, _: &SessionKey) -> Answer<Bell> {
        Ok(Bell::new(std::future::pending()))
    }
}

/// `async move` begins when it is polled: what happens before the first poll is missed.
#[derive(Debug, Default)]
pub(crate) struct WatchesWhenFirstPolled;

#[async_trait]
impl Bug for WatchesWhenFirstPolled {
    fn caught_by(&self) -> &'static str {
        "push_tells_of_a_delete"
    }

    async fn watch(&self, at: &Sound, _: &SessionKey) -> Answer<Bell> {
        let at = at.clone();
        Ok(Bell::new(async move { at.bell().await }))
    }
}

/// A server forgets the key with which it has told once, and nobody asks it again.
#[derive(Debug, Default)]
pub(crate) struct RingsOnceARecord(Mutex<HashSet<SessionKey>>);

#[async_trait]
impl Bug for RingsOnceARecord {
    fn caught_by(&self) -> &'static str {
        "push_tells_of_every_update"
    }

    async fn watch(&self, at: &Sound, key: &SessionKey) -> Answer<Bell> {
        if self.0.lock().unwrap().insert(*key) {
            return Ok(at.bell());
        }
        Ok(Bell::new(std::future::pending()))
    }
}

/// `NOLOOP`: the server does not tell the connection that has written.
#[derive(Debug, Default)]
pub(crate) struct RingsForOthersAlone(Arc<AtomicBool>);

#[async_trait]
impl Bug for RingsForOthersAlone {
    fn caught_by(&self) -> &'static str {
        "push_tells_of_what_the_same_handle_did"
    }

    async fn delete(&self, at: &Sound, key: &SessionKey) -> Answer<Delete> {
        self.0.store(true, Ordering::SeqCst);
        at.delete(key).await
    }

    async fn watch(&self, at: &Sound, _: &SessionKey) -> Answer<Bell> {
        let (bell, own) = (at.bell(), Arc::clone(&self.0));
        Ok(Bell::new(async move {
            bell.await;
            if own.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
        }))
    }
}

/// Who watches what. Whose place is taken away is told of nothing any more.
#[derive(Debug, Default)]
struct Places(Mutex<HashMap<SessionKey, Vec<oneshot::Sender<()>>>>);

impl Places {
    fn enter(&self, key: &SessionKey, bell: Bell) -> Bell {
        let (place, taken) = oneshot::channel::<()>();
        self.0.lock().unwrap().entry(*key).or_default().push(place);
        Bell::new(async move {
            tokio::select! {
                biased;
                _ = taken => std::future::pending().await,
                () = bell => {}
            }
        })
    }

    /// Takes the places away of all who watch such a record.
    fn take(&self, such: impl Fn(&SessionKey) -> bool) {
        self.0.lock().unwrap().retain(|key, _| !such(key));
    }
}

/// `insert` where there may be one already.
#[derive(Debug, Default)]
pub(crate) struct RingsForTheLastWhoWatches(Places);

#[async_trait]
impl Bug for RingsForTheLastWhoWatches {
    fn caught_by(&self) -> &'static str {
        "push_tells_all_who_watch"
    }

    async fn watch(&self, at: &Sound, key: &SessionKey) -> Answer<Bell> {
        self.0.take(|other| other == key);
        Ok(self.0.enter(key, at.bell()))
    }
}

/// A connection that can watch one record, of which there is one.
#[derive(Debug, Default)]
pub(crate) struct WatchesOneRecordAtATime(Places);

#[async_trait]
impl Bug for WatchesOneRecordAtATime {
    fn caught_by(&self) -> &'static str {
        "push_tells_of_each_of_many_records"
    }

    async fn watch(&self, at: &Sound, key: &SessionKey) -> Answer<Bell> {
        self.0.take(|other| other != key);
        Ok(self.0.enter(key, at.bell()))
    }
}

/// Whoever stops takes his key out of the map, with those who share it.
#[derive(Debug, Default)]
pub(crate) struct ForgetsAllWhenOneStops(Arc<Places>);

/// A place that is given back.
struct Held(Arc<Places>, SessionKey);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.take(|key| *key == self.1);
    }
}

#[async_trait]
impl Bug for ForgetsAllWhenOneStops {
    fn caught_by(&self) -> &'static str {
        "push_of_others_outlives_a_watch_that_is_dropped"
    }

    async fn watch(&self, at: &Sound, key: &SessionKey) -> Answer<Bell> {
        let bell = self.0.enter(key, at.bell());
        let held = Held(Arc::clone(&self.0), *key);
        Ok(Bell::new(async move {
            let _held = held;
            bell.await;
        }))
    }
}

/// Safe is safe.
#[derive(Debug, Default)]
pub(crate) struct RingsAllTheTime;

#[async_trait]
impl Bug for RingsAllTheTime {
    fn caught_by(&self) -> &'static str {
        "push_is_quiet_while_nothing_happens"
    }

    async fn watch(&self, _: &Sound, _: &SessionKey) -> Answer<Bell> {
        Ok(Bell::new(std::future::ready(())))
    }
}

/// Told of are the calls that name a key.
#[derive(Debug, Default)]
pub(crate) struct SaysNothingOfTheEndOfASubject;

#[async_trait]
impl Bug for SaysNothingOfTheEndOfASubject {
    fn caught_by(&self) -> &'static str {
        "push_tells_of_the_end_of_a_subject"
    }

    async fn delete_subject(
        &self,
        at: &Sound,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Answer<usize> {
        let ends = at.all_live()?.into_iter().filter(|record| {
            record.subject.as_deref() == Some(subject) && Some(&record.key) != except
        });
        let mut ended = 0;
        for record in ends {
            ended += usize::from(at.take(&record.key)?.is_some());
        }
        Ok(ended)
    }
}
