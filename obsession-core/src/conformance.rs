//! The suite for people who write a store: does it keep what sessions rely on?
//!
//! Write one constructor and name it. Every case becomes a test of its own, named after the
//! clause of [`SessionStore`] or
//! [`SessionIndex`](crate::SessionIndex) that it checks. Nothing else is needed in your crate but
//! this one as a development dependency with its feature `conformance`.
//!
//! ```
//! use obsession_core::MemoryStore;
//! use obsession_core::conformance::Time;
//!
//! async fn make(time: Time) -> MemoryStore {
//!     MemoryStore::builder().clock(time.clock()).build()
//! }
//!
//! // In tests/conformance.rs:
//! obsession_core::conformance!(make, index);
//! # fn main() {}
//! ```
//!
//! * `make` is called once a case and gives an empty store, or a store and something to keep as
//!   long as the store is used, such as its temporary folder: `(store, folder)`.
//! * A store that decides expiry by a clock of this process takes [`Time::clock`], and the cases
//!   set it. A store that decides by another clock does not, and the cases wait: milliseconds.
//! * `conformance!(make)` checks a [`SessionStore`],
//!   `conformance!(make, index)` a [`SessionIndex`](crate::SessionIndex) as well.

#![allow(
    clippy::missing_panics_doc,
    clippy::expect_used,
    clippy::panic,
    reason = "a case fails by panicking"
)]

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::{
    Clock, Create, ManualClock, Record, Revision, SessionId, SessionKey, SessionStore, SystemClock,
    Timestamp, Update,
};

pub mod cleanup;
pub mod create;
pub mod delete;
pub mod index;
pub mod load;
pub mod races;
pub mod sessions;
pub mod touch;
pub mod update;

/// How long a case may take.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// Makes every case of the suite a test. See [the module](mod@crate::conformance).
#[macro_export]
macro_rules! conformance {
    (@tests $module:ident, $make:expr; $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::conformance::run($make, $crate::conformance::$module::$case);
            }
        )*
    };
    ($make:expr, index) => {
        $crate::conformance!($make);
        $crate::conformance!(@tests index, $make;
            index_lists_the_sessions_of_a_subject_by_key
            index_lists_nothing_of_others
            index_pages_meet_every_record_once
            index_lists_no_expired_record
            index_follows_a_changed_subject
            index_forgets_a_deleted_record
            index_forgets_a_replaced_expired_record
            index_keeps_odd_subjects_apart
            index_pages_stay_right_when_records_come_and_go
            index_deletes_all_of_a_subject_but_one
            index_delete_of_a_subject_leaves_others_alone
            index_scans_by_deadline_from_a_cursor
            index_scan_shows_a_moved_deadline
            index_counts_live_records
            index_agrees_with_the_records_after_a_storm
        );
    };
    ($make:expr) => {
        $crate::conformance!(@tests load, $make;
            load_of_an_unknown_key_is_nothing
            load_gives_back_every_field
            load_gives_back_every_byte
            load_gives_back_a_large_body
            load_keeps_keys_apart_that_differ_in_one_character
            load_gives_back_odd_subjects
            load_before_the_deadline_but_not_at_it
            load_of_a_far_deadline
        );
        $crate::conformance!(@tests create, $make;
            create_of_a_taken_key_changes_nothing
            create_again_is_recognised
            create_over_an_expired_record_replaces_it
            create_after_a_delete
            create_of_an_expired_record_is_never_served
        );
        $crate::conformance!(@tests update, $make;
            update_replaces_every_field
            update_of_another_revision_is_a_conflict_with_the_current_record
            update_again_is_recognised
            update_of_an_unknown_key_does_not_insert
            update_of_a_deleted_record_does_not_revive_it
            update_of_an_expired_record_does_not_revive_it
            update_may_end_earlier
        );
        $crate::conformance!(@tests touch, $make;
            touch_moves_the_deadline_and_nothing_else
            touch_never_shortens
            touch_of_an_unknown_key_does_not_create
            touch_of_a_deleted_record_does_not_revive_it
            touch_of_an_expired_record_does_not_revive_it
            touch_is_no_conflict_for_an_update
        );
        $crate::conformance!(@tests delete, $make;
            delete_ends_the_record
            delete_again_is_gone
            delete_of_an_expired_record_is_gone
            delete_leaves_others_alone
        );
        $crate::conformance!(@tests cleanup, $make;
            cleanup_removes_the_expired_and_nothing_else
            cleanup_keeps_to_its_limit
            cleanup_spares_what_was_touched_or_updated
            cleanup_of_an_empty_store_is_zero
        );
        $crate::conformance!(@tests races, $make;
            race_of_creates_has_one_winner
            race_of_updates_has_one_winner_a_revision
            race_of_increments_loses_none
            race_of_update_and_delete_ends_deleted
            race_of_touch_and_delete_ends_deleted
            race_of_touch_and_cleanup_keeps_what_was_touched
            race_of_loads_and_updates_reads_your_writes
            race_of_deletes_has_one_winner
            race_of_dropped_calls_leaves_before_or_after
        );
        $crate::conformance!(@tests sessions, $make;
            session_updates_of_many_requests_are_all_counted
            session_changes_to_different_names_all_survive
            session_late_save_does_not_revive_a_deleted_session
            session_take_is_given_to_exactly_one
            session_of_many_cycles_has_one_current_token
            session_sign_in_ends_the_old_token_and_keeps_the_cart
            session_expires_by_its_idle_timeout_and_its_absolute_lifetime
            session_of_a_forged_token_is_nobodys
            session_emptied_stays_empty
        );
    };
}

/// Runs one case on a store of its own.
pub fn run<M, F, C, G>(make: M, case: C)
where
    M: FnOnce(Time) -> F,
    F: Future<Output: IntoFixture>,
    C: FnOnce(Fixture<<F::Output as IntoFixture>::Store>) -> G,
    G: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let time = Time::new();
        let fixture = make(time.clone()).await.into_fixture(time);
        let ended = tokio::time::timeout(TIME_LIMIT, case(fixture)).await;
        assert!(ended.is_ok(), "the case did not end within {TIME_LIMIT:?}");
    });
}

/// What a constructor may give: a store, or a store and something to keep as long.
pub trait IntoFixture {
    /// The store.
    type Store: SessionStore;

    /// Store and keepsake, with the time they were made with.
    fn into_fixture(self, time: Time) -> Fixture<Self::Store>;
}

impl<S: SessionStore> IntoFixture for S {
    type Store = S;

    fn into_fixture(self, time: Time) -> Fixture<S> {
        (self, ()).into_fixture(time)
    }
}

impl<S: SessionStore, K: Send + 'static> IntoFixture for (S, K) {
    type Store = S;

    fn into_fixture(self, time: Time) -> Fixture<S> {
        let (store, keepsake) = self;
        Fixture {
            store: Arc::new(store),
            time,
            _keepsake: Box::new(keepsake),
        }
    }
}

/// What a case works with.
pub struct Fixture<S> {
    /// The store under test, empty.
    pub store: Arc<S>,
    /// Its time.
    pub time: Time,
    // After the store, so that it is dropped after it.
    _keepsake: Box<dyn Any + Send>,
}

impl<S: SessionStore> Fixture<S> {
    /// A record with a fresh key that is live for a while.
    #[must_use]
    pub fn record(&self) -> Record {
        let id = SessionId::generate(getrandom::fill).expect("random bytes");
        Record {
            key: id.key(),
            revision: revision(),
            subject: None,
            created_at: self.time.now(),
            expires_at: self.time.later(),
            body: Arc::from(&b"body"[..]),
        }
    }

    /// A record that has been created.
    pub async fn created(&self) -> Record {
        let record = self.record();
        self.create(&record).await;
        record
    }

    /// Creates `record`, which must be new.
    pub async fn create(&self, record: &Record) {
        let answer = self.store.create(record).await.expect("create");
        assert_eq!(answer, Create::Created, "create of a new key");
    }

    /// The live record of `key`.
    pub async fn load(&self, key: &SessionKey) -> Option<Record> {
        self.store.load(key).await.expect("load")
    }

    /// Updates to `record`, which must replace `expected`.
    pub async fn update(&self, expected: Revision, record: &Record) {
        let answer = self.store.update(expected, record).await.expect("update");
        assert_eq!(answer, Update::Updated, "update of the current revision");
    }
}

impl<S> fmt::Debug for Fixture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture")
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}

/// A revision that was never used.
#[must_use]
pub fn revision() -> Revision {
    Revision::fresh().expect("random bytes")
}

/// The same record after another write.
#[must_use]
pub fn rewritten(record: &Record, body: &[u8]) -> Record {
    Record {
        revision: revision(),
        body: Arc::from(body),
        ..record.clone()
    }
}

/// The time of a case: set where the store asks a clock of this process, waited for elsewhere.
#[derive(Clone, Debug)]
pub struct Time {
    manual: Arc<ManualClock>,
    taken: Arc<AtomicBool>,
}

impl Time {
    fn new() -> Self {
        Self {
            manual: Arc::new(ManualClock::new(SystemClock.now())),
            taken: Arc::default(),
        }
    }

    /// The clock for a store to ask. Whoever takes it says that the store decides by it alone.
    #[must_use]
    pub fn clock(&self) -> impl Clock + use<> {
        self.taken.store(true, Ordering::SeqCst);
        Arc::clone(&self.manual)
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        if self.is_set() {
            self.manual.now()
        } else {
            SystemClock.now()
        }
    }

    /// A deadline that no case reaches unless it wants to.
    #[must_use]
    pub fn later(&self) -> Timestamp {
        self.now().saturating_add(Duration::from_secs(3600))
    }

    /// A deadline that can be waited for, and far enough for a few calls.
    #[must_use]
    pub fn soon(&self) -> Timestamp {
        self.now().saturating_add(Duration::from_millis(400))
    }

    /// Makes it `at`, or waits for it.
    pub async fn reach(&self, at: Timestamp) {
        if self.is_set() {
            self.manual.set(self.manual.now().max(at));
            return;
        }
        while SystemClock.now() < at {
            tokio::time::sleep(at.saturating_since(SystemClock.now())).await;
        }
    }

    /// Whether the clock is set by the cases, so that a single millisecond can be told.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.taken.load(Ordering::SeqCst)
    }
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        Time::now(self)
    }
}

#[cfg(test)]
mod tests {
    /// A case that the macro does not name would never run.
    #[test]
    fn the_macro_names_every_case() {
        let suite = include_str!("conformance.rs");
        for cases in [
            include_str!("conformance/load.rs"),
            include_str!("conformance/create.rs"),
            include_str!("conformance/update.rs"),
            include_str!("conformance/touch.rs"),
            include_str!("conformance/delete.rs"),
            include_str!("conformance/cleanup.rs"),
            include_str!("conformance/races.rs"),
            include_str!("conformance/sessions.rs"),
            include_str!("conformance/index.rs"),
        ] {
            let found: Vec<_> = cases.split("pub async fn ").skip(1).collect();
            assert!(!found.is_empty());
            for case in found {
                let name = case.split('<').next().unwrap();
                let named = suite.lines().any(|line| line.trim() == name);
                assert!(named, "{name} is not run");
            }
        }
    }
}
