//! What is said when something went wrong, and what is not said too early.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use custom_store::RedbStore;
use obsession_core::conformance::revision;
use obsession_core::{
    Clock, CorruptRow, Create, Effect, ManualClock, Record, SessionIndex, SessionKey, SessionStore,
    StoreError, Timestamp, Touch,
};
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableTable, StorageBackend, TableDefinition};

const DEADLINE: Timestamp = Timestamp::from_millis(1_000);
const LATER: Timestamp = Timestamp::from_millis(2_000);

fn record(key: &str) -> Record {
    Record {
        key: key.parse().unwrap(),
        revision: revision(),
        subject: Some(Arc::from("zoë")),
        created_at: Timestamp::default(),
        expires_at: DEADLINE,
        body: b"body".into(),
    }
}

async fn create(store: &RedbStore, key: &str) -> Record {
    let record = record(key);
    assert_eq!(store.create(&record).await.unwrap(), Create::Created);
    record
}

/// Flips a bit of the row's revision.
fn damage(path: &Path, key: &SessionKey) {
    const RECORDS: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("records");
    let database = Database::open(path).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let mut records = transaction.open_table(RECORDS).unwrap();
        let row = records.get(key.as_bytes()).unwrap().unwrap();
        let mut damaged = row.value().to_vec();
        drop(row);
        damaged[3] ^= 1;
        records.insert(key.as_bytes(), &*damaged).unwrap();
    }
    transaction.commit().unwrap();
}

fn is_damage(error: &StoreError) -> bool {
    let source = error.source().unwrap();
    error.effect() == Effect::NotApplied && source.is::<CorruptRow>()
}

#[tokio::test]
async fn a_damaged_row_is_an_error_and_keeps_nobody_elses_session() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let clock = Arc::new(ManualClock::default());
    let store = RedbStore::open(&path, Arc::clone(&clock)).unwrap();
    let one = create(&store, "AAAAAAAAAAAAAAA.").await;
    let other = create(&store, "BAAAAAAAAAAAAAA.").await;
    drop(store);
    damage(&path, &one.key);

    let store = RedbStore::open(&path, Arc::clone(&clock)).unwrap();
    let next = Record {
        revision: revision(),
        ..one.clone()
    };
    assert!(is_damage(&store.load(&one.key).await.unwrap_err()));
    assert!(is_damage(&store.create(&one).await.unwrap_err()));
    let update = store.update(one.revision, &next).await;
    assert!(is_damage(&update.unwrap_err()));
    let touch = store.touch(&one.key, one.revision, LATER).await;
    assert!(is_damage(&touch.unwrap_err()));
    assert!(is_damage(&store.delete(&one.key).await.unwrap_err()));
    assert!(is_damage(&store.list("zoë", None, 9).await.unwrap_err()));
    assert!(is_damage(&store.scan(None, 9).await.unwrap_err()));

    assert_eq!(store.load(&other.key).await.unwrap(), Some(other.clone()));
    assert_eq!(store.delete_subject("zoë", None).await.unwrap(), 1);
    assert_eq!(store.load(&other.key).await.unwrap(), None);

    let expired = create(&store, "CAAAAAAAAAAAAAA.").await;
    clock.set(DEADLINE);
    assert_eq!(store.delete_expired(9).await.unwrap(), 2);
    assert_eq!(store.load(&one.key).await.unwrap(), None);
    assert_eq!(store.load(&expired.key).await.unwrap(), None);
    assert!(store.list("zoë", None, 9).await.unwrap().is_empty());
    assert_eq!(store.count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letter.txt");
    let letter = "not sessions at all".repeat(1000);
    fs::write(&path, &letter).unwrap();
    RedbStore::open(&path, ManualClock::default()).unwrap_err();
    assert_eq!(fs::read_to_string(&path).unwrap(), letter);
}

/// A disk that can be told to fail.
#[derive(Debug)]
struct Disk {
    inner: InMemoryBackend,
    broken: Arc<AtomicBool>,
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is broken"));
        }
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }
}

#[tokio::test]
async fn a_commit_that_fails_is_unknown_and_what_follows_is_an_error() {
    let broken = Arc::new(AtomicBool::new(false));
    let disk = Disk {
        inner: InMemoryBackend::new(),
        broken: Arc::clone(&broken),
    };
    let database = Database::builder().create_with_backend(disk).unwrap();
    let store = RedbStore::new(database, ManualClock::default()).unwrap();
    let record = create(&store, "AAAAAAAAAAAAAAA.").await;
    broken.store(true, Ordering::SeqCst);
    let error = store.delete(&record.key).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown);
    assert_eq!(error.to_string(), "redb could not commit");
    assert_eq!(
        error.source().unwrap().to_string(),
        "I/O error: the disk is broken"
    );
    // Nobody knows what is on disk, so nobody is told anything.
    let error = store.delete(&record.key).await.unwrap_err();
    assert_eq!(error.effect(), Effect::NotApplied);
}

/// Stands just before the deadline for the writer that asks first, and at it for all others. The
/// writer gets its answer when somebody has loaded, or nobody has in a while.
#[derive(Debug)]
struct Late {
    asked: AtomicBool,
    began: Sender<()>,
    loaded: std::sync::Mutex<Receiver<()>>,
}

impl Clock for Late {
    fn now(&self) -> Timestamp {
        if self.asked.swap(true, Ordering::SeqCst) {
            return DEADLINE;
        }
        self.began.send(()).unwrap();
        let loaded = self.loaded.lock().unwrap();
        let _ = loaded.recv_timeout(Duration::from_millis(300));
        Timestamp::from_millis(DEADLINE.as_millis() - 1)
    }
}

/// A touch reads the clock just before the deadline and is on disk just after it. A load between
/// the two found a session that had expired, said so, and the next one found it alive.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_load_found_expired_is_not_alive_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sessions.redb");
    let store = RedbStore::open(&path, ManualClock::default()).unwrap();
    let record = create(&store, "AAAAAAAAAAAAAAA.").await;
    drop(store);

    let ((began, start), (tell, loaded)) = (channel(), channel());
    let clock = Late {
        asked: AtomicBool::new(false),
        began,
        loaded: std::sync::Mutex::new(loaded),
    };
    let store = RedbStore::open(&path, clock).unwrap();
    let touching = {
        let (store, record) = (store.clone(), record.clone());
        tokio::spawn(async move { store.touch(&record.key, record.revision, LATER).await })
    };
    start.recv().unwrap();
    let during = store.load(&record.key).await.unwrap();
    let _ = tell.send(());
    assert_eq!(touching.await.unwrap().unwrap(), Touch::Touched);
    let after = store.load(&record.key).await.unwrap();
    assert!(after.is_some());
    assert_eq!(during, after);
}
