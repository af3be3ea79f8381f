//! What happens when the disk fails at a step, which no test from outside can bring about.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::faults::Step;
use super::sessions::Sessions;
use crate::{
    Create, Delete, Effect, ManualClock, Record, Revision, ScanCursor, SessionId, StoreError,
    Timestamp, Touch, Update,
};

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const BEFORE_THE_RENAME: [Step; 4] = [Step::Create, Step::Write, Step::SyncFile, Step::Rename];

struct Fixture {
    sessions: Sessions,
    clock: Arc<ManualClock>,
    folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(NOW));
        let sessions = Sessions::open(folder.path(), Arc::clone(&clock) as _).unwrap();
        Self {
            sessions,
            clock,
            folder,
        }
    }

    fn created(&self) -> Record {
        let record = record();
        assert_eq!(self.sessions.create(&record).unwrap(), Create::Created);
        self.taken();
        record
    }

    fn fail(&self, step: Step) {
        self.sessions.directory.faults.fail(step);
    }

    fn taken(&self) -> Vec<Step> {
        self.sessions.directory.faults.taken()
    }

    /// The names and bytes of all files, and that the index and the loads agree with them.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        let sessions = &self.sessions;
        // The scan comes last: it puts right what it finds wrong.
        let count = sessions.count();
        let list = |subject| sessions.list(subject, None, 100).unwrap();
        let mut listed = [list("before"), list("after")].concat();
        listed.sort_by_key(|record| ScanCursor::from(record));
        let scanned = sessions.scan(None, 100).unwrap();
        assert_eq!(scanned, listed);
        assert_eq!(scanned.len() as u64, count);
        assert_eq!(scanned.len(), files.len() - 1, "files but the marker");
        for record in &scanned {
            assert_eq!(sessions.load(&record.key).unwrap().as_ref(), Some(record));
        }
        files
    }
}

fn record() -> Record {
    Record {
        key: SessionId::generate(getrandom::fill).unwrap().key(),
        revision: Revision::fresh().unwrap(),
        subject: Some(Arc::from("before")),
        created_at: NOW,
        expires_at: NOW.saturating_add(Duration::from_secs(60)),
        body: b"before".into(),
    }
}

fn rewritten(record: &Record) -> Record {
    Record {
        revision: Revision::fresh().unwrap(),
        subject: Some(Arc::from("after")),
        expires_at: record.expires_at.saturating_add(Duration::from_secs(1)),
        body: b"after".into(),
        ..record.clone()
    }
}

fn effect<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> Effect {
    answer.unwrap_err().effect()
}

#[test]
fn bytes_are_durable_before_their_name_and_the_name_before_the_answer() {
    let written = [
        Step::Create,
        Step::Write,
        Step::SyncFile,
        Step::Rename,
        Step::Renamed,
        Step::OpenDirectory,
        Step::SyncDirectory,
    ];
    let at = Fixture::new();
    let old = record();
    let _ = at.sessions.create(&old).unwrap();
    assert_eq!(at.taken(), written, "create");
    let new = rewritten(&old);
    let _ = at.sessions.update(old.revision, &new).unwrap();
    assert_eq!(at.taken(), written, "update");
    let later = new.expires_at.saturating_add(Duration::from_secs(1));
    let _ = at.sessions.touch(&old.key, new.revision, later).unwrap();
    assert_eq!(at.taken(), written, "touch");
}

#[test]
fn a_delete_is_durable_before_its_answer() {
    let removed = [
        Step::Remove,
        Step::Removed,
        Step::OpenDirectory,
        Step::SyncDirectory,
    ];
    let at = Fixture::new();
    let one = at.created();
    assert_eq!(at.sessions.delete(&one.key).unwrap(), Delete::Deleted);
    assert_eq!(at.taken(), removed, "delete");
    at.created();
    assert_eq!(at.sessions.delete_subject("before", None).unwrap(), 1);
    assert_eq!(at.taken(), removed, "delete of a subject");
    let expiring = at.created();
    at.clock.set(expiring.expires_at);
    assert_eq!(at.sessions.delete_expired(10).unwrap(), 1);
    assert_eq!(at.taken(), removed, "cleanup");
}

#[test]
fn a_write_that_fails_before_the_rename_changes_nothing() {
    for step in BEFORE_THE_RENAME {
        let at = Fixture::new();
        let (old, other) = (at.created(), record());
        let (new, before) = (rewritten(&old), at.files());

        at.fail(step);
        let answer = at.sessions.update(old.revision, &new);
        assert_eq!(effect(answer), Effect::NotApplied, "update, {step:?}");
        assert_eq!(at.files(), before, "update, {step:?}");
        at.fail(step);
        let answer = at.sessions.touch(&old.key, old.revision, new.expires_at);
        assert_eq!(effect(answer), Effect::NotApplied, "touch, {step:?}");
        assert_eq!(at.files(), before, "touch, {step:?}");
        at.fail(step);
        let answer = at.sessions.create(&other);
        assert_eq!(effect(answer), Effect::NotApplied, "create, {step:?}");
        assert_eq!(at.files(), before, "create, {step:?}");

        let answer = at.sessions.update(old.revision, &new).unwrap();
        assert_eq!(answer, Update::Updated, "again");
        assert_eq!(at.sessions.create(&other).unwrap(), Create::Created);
        assert_eq!(at.files().len(), 3);
    }
}

#[test]
fn a_rename_that_was_made_but_reported_as_failed_is_unknown_and_recognised_later() {
    let at = Fixture::new();
    let old = at.created();
    let new = rewritten(&old);
    at.fail(Step::Renamed);
    let answer = at.sessions.update(old.revision, &new);
    assert_eq!(effect(answer), Effect::Unknown);
    assert_eq!(at.sessions.load(&old.key).unwrap().as_ref(), Some(&new));
    at.files();
    let again = at.sessions.update(old.revision, &new).unwrap();
    assert_eq!(again, Update::Updated);
    assert!(at.taken().ends_with(&[Step::SyncDirectory]));
}

#[test]
fn a_delete_that_fails_is_not_applied_and_one_in_doubt_is_unknown() {
    let at = Fixture::new();
    let old = at.created();
    let before = at.files();
    at.fail(Step::Remove);
    assert_eq!(effect(at.sessions.delete(&old.key)), Effect::NotApplied);
    assert_eq!(at.files(), before);
    at.fail(Step::Removed);
    assert_eq!(effect(at.sessions.delete(&old.key)), Effect::Unknown);
    assert_eq!(at.files().len(), 1);
    assert_eq!(at.sessions.delete(&old.key).unwrap(), Delete::Gone);
}

#[test]
fn after_a_failed_sync_of_the_directory_only_loads_go_on_until_it_is_opened_again() {
    let at = Fixture::new();
    let (old, other) = (at.created(), at.created());
    let new = rewritten(&old);
    at.fail(Step::SyncDirectory);
    let answer = at.sessions.update(old.revision, &new);
    assert_eq!(effect(answer), Effect::Unknown);

    let sessions = &at.sessions;
    assert_eq!(sessions.load(&other.key).unwrap().as_ref(), Some(&other));
    let before = at.files();
    for refused in [
        effect(sessions.update(old.revision, &new)),
        effect(sessions.create(&record())),
        effect(sessions.touch(&other.key, other.revision, new.expires_at)),
        effect(sessions.delete(&other.key)),
        effect(sessions.delete_subject("before", None)),
        effect(sessions.delete_expired(10)),
    ] {
        assert_eq!(refused, Effect::NotApplied);
    }
    assert_eq!(at.files(), before);

    let Fixture {
        sessions,
        clock,
        folder,
    } = at;
    drop(sessions);
    let sessions = Sessions::open(folder.path(), clock).unwrap();
    assert_eq!(sessions.delete(&other.key).unwrap(), Delete::Deleted);
}

#[test]
fn nothing_is_answered_on_the_ground_of_a_change_that_is_not_durable_yet() {
    let at = Fixture::new();
    let (old, fresh) = (at.created(), record());
    let new = rewritten(&old);
    let sessions = &at.sessions;
    let calls: [&dyn Fn() -> Effect; 8] = [
        &|| effect(sessions.create(&fresh)),
        &|| effect(sessions.create(&fresh)),
        &|| effect(sessions.update(old.revision, &new)),
        &|| effect(sessions.update(old.revision, &new)),
        &|| effect(sessions.touch(&old.key, old.revision, NOW)),
        &|| effect(sessions.delete(&old.key)),
        &|| effect(sessions.delete(&old.key)),
        &|| effect(sessions.update(old.revision, &new)),
    ];
    for (n, call) in calls.iter().enumerate() {
        at.fail(Step::OpenDirectory);
        assert_eq!(call(), Effect::Unknown, "call {n}");
    }

    // Nothing is lost by an fsync that was not tried, so the next one serves them all.
    assert_eq!(at.sessions.delete(&old.key).unwrap(), Delete::Gone);
    assert_eq!(at.sessions.create(&fresh).unwrap(), Create::Created);
    let touched = at.sessions.touch(&fresh.key, fresh.revision, NOW).unwrap();
    assert_eq!(touched, Touch::Touched);
}

#[test]
fn a_file_that_cannot_be_removed_does_not_keep_cleanup_from_the_others() {
    let at = Fixture::new();
    let last = (0..5).map(|_| at.created()).last().unwrap();
    let live = at.created();
    let _ = at
        .sessions
        .touch(&live.key, live.revision, Timestamp::MAX)
        .unwrap();
    at.clock.set(last.expires_at);
    at.fail(Step::Remove);
    assert_eq!(effect(at.sessions.delete_expired(5)), Effect::Unknown);
    assert_eq!(at.sessions.delete_expired(5).unwrap(), 1, "the one left");
    assert_eq!(at.files().len(), 2);
}

/// What a walk over many sessions found out must still be so when it comes to one of them.
#[test]
fn a_session_that_was_saved_from_a_walk_before_its_turn_is_spared() {
    for by_subject in [false, true] {
        let at = Fixture::new();
        let mut records = [at.created(), at.created()];
        records.sort_by_key(|record| record.key);
        let [first, second] = records;
        at.clock.set(first.expires_at);
        let ended = std::thread::scope(|scope| {
            let turn = at.sessions.turn(&second.key);
            let walk = scope.spawn(|| {
                if by_subject {
                    at.sessions.delete_subject("before", None).unwrap();
                } else {
                    assert_eq!(at.sessions.delete_expired(10).unwrap(), 1);
                }
            });
            // The walk is under way, and will wait for the turn that is held here.
            while at.sessions.directory.read(&first.key).unwrap().is_some() {
                std::thread::yield_now();
            }
            at.sessions.put(&rewritten(&second)).unwrap();
            drop(turn);
            walk.join()
        });
        assert!(ended.is_ok());
        assert!(at.sessions.load(&second.key).unwrap().is_some());
        assert_eq!(at.files().len(), 2);
    }
}

#[test]
fn one_sync_of_the_directory_serves_all_who_changed_it_before() {
    let at = Fixture::new();
    let directory = &at.sessions.directory;
    for _ in 0..3 {
        directory.replace(&record().key, b"bytes").unwrap();
    }
    at.taken();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| directory.settle().unwrap());
        }
    });
    assert_eq!(at.taken(), [Step::OpenDirectory, Step::SyncDirectory]);
}
