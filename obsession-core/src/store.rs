//! The contract between sessions and the places that keep them.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Bell, Record, Revision, SessionKey, StoreError, Timestamp};

/// A place that keeps records.
///
/// # The clauses
///
/// Each is checked by cases of [`conformance!`](crate::conformance!) whose names begin with the
/// operation's name.
///
/// 1. **Live or absent.** A record is live until its `expires_at`; at and after that instant it is
///    absent for every method, whether or not cleanup ran.
/// 2. **Atomic.** Each call takes effect at one instant between its start and its answer. Of two
///    writes to one key, one is first.
/// 3. **Read your writes.** A load that begins after a write was acknowledged sees that write or a
///    later one, from any process that shares the store.
/// 4. **Never an upsert.** Only [`create`](Self::create) makes a record; an update or a touch of
///    what is absent is `Gone`.
/// 5. **Recognised retries.** A create or update whose `record.revision` is the stored revision
///    has been applied already, and answers as it did or would have done the first time.
///    Whoever sends a write again by itself, a driver that reconnects included, must not pass on the
///    second answer where somebody may have written in between: a conflict is then *unknown*.
/// 6. **Cancel-safe.** A future dropped at any await leaves the record as it was before or after
///    the call, and the store usable.
/// 7. **Honest.** A failure is a [`StoreError`] that says *not applied* or *unknown*; it is never
///    an outcome, and no outcome hides a failure.
/// 8. **Bytes in, bytes out.** Key, revision, subject, times and body come back as they were given.
///
/// Every method is required: a wrapper that forgets one must not compile.
///
/// [Write your own store](crate::write_your_own_store) goes through them with a complete one.
#[async_trait]
pub trait SessionStore: Debug + Send + Sync + 'static {
    /// The live record of `key`, or nothing.
    ///
    /// # Errors
    ///
    /// The store could not say. That is never the same as "no session".
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError>;

    /// Adds `record`, unless a live record has its key.
    ///
    /// An expired record of the same key is replaced. A live one with the same revision is this
    /// write, applied before: [`Create::Created`].
    /// One whose own deadline has passed is [`Create::Created`] and absent.
    ///
    /// # Errors
    ///
    /// The store failed, and says whether the record may be there.
    async fn create(&self, record: &Record) -> Result<Create, StoreError>;

    /// Replaces the live record of `record.key` if its revision is `expected`.
    ///
    /// Everything is replaced: revision, subject, times and body; the new deadline may be earlier
    /// than the old one. If the stored revision is `record.revision`, this write has been applied
    /// before: [`Update::Updated`].
    ///
    /// # Errors
    ///
    /// The store failed, and says whether the write may have been applied.
    async fn update(&self, expected: Revision, record: &Record) -> Result<Update, StoreError>;

    /// Moves the deadline of the live record of `key` to `expires_at`, if its revision is
    /// `expected` and that is later.
    ///
    /// An earlier `expires_at` changes nothing and is [`Touch::Touched`] all the same. The
    /// revision stays: a touch is no conflict for an update. A write sets the deadline itself, and
    /// maybe a shorter lifetime, so a touch that was meant for the revision before comes too late.
    ///
    /// # Errors
    ///
    /// The store failed, and says whether the deadline may have moved.
    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Result<Touch, StoreError>;

    /// Ends the record of `key`. From the acknowledgement on, nothing but a create with this key
    /// makes it load again.
    ///
    /// # Errors
    ///
    /// The store failed, and says whether the record may be gone.
    async fn delete(&self, key: &SessionKey) -> Result<Delete, StoreError>;

    /// Removes at most `limit` records that have expired, and says how many.
    ///
    /// Fewer than `limit` means that no more were found. A live record is never removed, also when
    /// a touch or an update saves it at the last moment. Nothing else waits for long.
    ///
    /// # Errors
    ///
    /// The store failed; some of the batch may have been removed.
    async fn delete_expired(&self, limit: usize) -> Result<usize, StoreError>;

    /// Rings when the record of `key` may have changed, so that whoever watches a session need not wait
    /// until it asks again.
    ///
    /// Once this has answered, the next update, delete and end of a subject that changes the record
    /// rings, whoever makes it, through whichever handle or process. So whoever watches first and then
    /// loads misses nothing. Where changes may have been missed, since a connection was lost, it rings
    /// when there is one again at the latest. It may ring for less, a touch or nothing at all, but not
    /// always: each ring costs a load. The deadline need not ring.
    ///
    /// It is for speed alone, and nothing may depend on it: [`Session::watch`](crate::Session::watch)
    /// asks again after its interval in any case. A store that cannot push answers [`Bell::silent`]; one
    /// around another store hands on what that answers.
    ///
    /// # Errors
    ///
    /// The store could not say whether it would ring.
    async fn watch(&self, key: &SessionKey) -> Result<Bell, StoreError>;
}

/// A store that can find sessions by whose they are, and walk over all of them.
///
/// Whatever it lists is live and has the subject that was asked for; the index never disagrees
/// with the records. Pages are in the order of their cursor, so a walk over pages meets every
/// record that was there all along exactly once, however many others come and go meanwhile.
#[async_trait]
pub trait SessionIndex: SessionStore {
    /// At most `limit` live records of `subject`, by ascending key, from after `after` on.
    ///
    /// # Errors
    ///
    /// The store could not say.
    async fn list(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError>;

    /// Ends every record of `subject` that was there when the call began, except that of
    /// `except`, and says how many live ones it ended.
    ///
    /// # Errors
    ///
    /// The store failed; some of them may have been ended.
    async fn delete_subject(
        &self,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Result<usize, StoreError>;

    /// At most `limit` live records, the oldest deadline first, from after `after` on.
    ///
    /// # Errors
    ///
    /// The store could not say.
    async fn scan(
        &self,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError>;

    /// How many records are live.
    ///
    /// # Errors
    ///
    /// The store could not say.
    async fn count(&self) -> Result<u64, StoreError>;
}

/// A place in a [`scan`](SessionIndex::scan): a deadline, and a key among those that share it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ScanCursor {
    /// The deadline of the last record seen.
    pub expires_at: Timestamp,
    /// Its key.
    pub key: SessionKey,
}

impl From<&Record> for ScanCursor {
    fn from(record: &Record) -> Self {
        Self {
            expires_at: record.expires_at,
            key: record.key,
        }
    }
}

/// The answer to [`SessionStore::create`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Create {
    /// The record is there now.
    Created,
    /// Another live record has the key; nothing changed.
    KeyTaken,
}

/// The answer to [`SessionStore::update`].
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub enum Update {
    /// The record is there now.
    Updated,
    /// The live record has another revision: here it is. Nothing changed.
    Conflict(Record),
    /// There is no live record of this key. Nothing changed.
    Gone,
}

/// The answer to [`SessionStore::touch`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Touch {
    /// The deadline is the one asked for, or a later one.
    Touched,
    /// The live record has another revision. Nothing changed.
    Changed,
    /// There is no live record of this key. Nothing changed.
    Gone,
}

/// The answer to [`SessionStore::delete`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Delete {
    /// The live record is gone.
    Deleted,
    /// There was no live record of this key.
    Gone,
}

/// A shared store is a store.
#[async_trait]
impl<S: SessionStore + ?Sized> SessionStore for Arc<S> {
    async fn load(&self, key: &SessionKey) -> Result<Option<Record>, StoreError> {
        (**self).load(key).await
    }

    async fn create(&self, record: &Record) -> Result<Create, StoreError> {
        (**self).create(record).await
    }

    async fn update(&self, expected: Revision, record: &Record) -> Result<Update, StoreError> {
        (**self).update(expected, record).await
    }

    async fn touch(
        &self,
        key: &SessionKey,
        expected: Revision,
        expires_at: Timestamp,
    ) -> Result<Touch, StoreError> {
        (**self).touch(key, expected, expires_at).await
    }

    async fn delete(&self, key: &SessionKey) -> Result<Delete, StoreError> {
        (**self).delete(key).await
    }

    async fn delete_expired(&self, limit: usize) -> Result<usize, StoreError> {
        (**self).delete_expired(limit).await
    }

    async fn watch(&self, key: &SessionKey) -> Result<Bell, StoreError> {
        (**self).watch(key).await
    }
}

#[async_trait]
impl<S: SessionIndex + ?Sized> SessionIndex for Arc<S> {
    async fn list(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        (**self).list(subject, after, limit).await
    }

    async fn delete_subject(
        &self,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Result<usize, StoreError> {
        (**self).delete_subject(subject, except).await
    }

    async fn scan(
        &self,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        (**self).scan(after, limit).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        (**self).count().await
    }
}
