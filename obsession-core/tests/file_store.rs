//! What the file store promises about its directory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use obsession_core::{
    Create, Delete, Effect, Error, FileStore, ManualClock, OpenError, Record, Revision,
    SessionIndex, SessionKey, SessionManager, SessionStore, Timestamp, Touch, Update,
};
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const LATER: Timestamp = Timestamp::from_millis(2_000_000);
const MARKER: &str = "obsession-file-store";

fn record(key: &str) -> Record {
    Record {
        key: key.parse().unwrap(),
        revision: Revision::fresh().unwrap(),
        subject: Some(Arc::from("zoë")),
        created_at: NOW,
        expires_at: LATER,
        body: b"what was written".into(),
    }
}

fn rewritten(record: &Record) -> Record {
    Record {
        revision: Revision::fresh().unwrap(),
        body: b"newer".into(),
        ..record.clone()
    }
}

async fn open(folder: &TempDir) -> FileStore {
    let clock = ManualClock::new(NOW);
    let builder = FileStore::builder(folder.path()).clock(clock);
    builder.open().await.unwrap()
}

/// A folder with a store in it that holds these records.
async fn filled(records: &[Record]) -> (FileStore, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    for record in records {
        assert_eq!(store.create(record).await.unwrap(), Create::Created);
    }
    (store, folder)
}

fn file(folder: &TempDir, key: &SessionKey, extension: &str) -> PathBuf {
    folder.path().join(hex(key.as_bytes()) + extension)
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[tokio::test]
async fn a_store_that_is_opened_again_has_everything() {
    let mut records: Vec<_> = ["aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc"]
        .map(record)
        .into();
    let (store, folder) = filled(&records).await;
    let (first, second, third) = (&records[0], &records[1], &records[2]);
    let updated = rewritten(first);
    let answer = store.update(first.revision, &updated).await.unwrap();
    assert_eq!(answer, Update::Updated);
    let touched = Record {
        expires_at: LATER.saturating_add(Duration::from_secs(1)),
        ..second.clone()
    };
    let answer = store
        .touch(&second.key, second.revision, touched.expires_at)
        .await
        .unwrap();
    assert_eq!(answer, Touch::Touched);
    assert_eq!(store.delete(&third.key).await.unwrap(), Delete::Deleted);
    records = vec![updated, touched];
    drop(store);

    let store = open(&folder).await;
    assert_eq!(store.scan(None, 10).await.unwrap(), records);
    assert_eq!(store.list("zoë", None, 10).await.unwrap(), records);
    assert_eq!(store.count().await.unwrap(), 2);
    for record in records {
        assert_eq!(store.load(&record.key).await.unwrap(), Some(record));
    }
}

#[tokio::test]
async fn a_deleted_session_stays_deleted() {
    let records = ["aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"].map(record);
    let (store, folder) = filled(&records).await;
    let key = records[0].key;
    assert_eq!(store.delete(&key).await.unwrap(), Delete::Deleted);
    assert!(!file(&folder, &key, ".session").exists());
    assert_eq!(store.delete_subject("zoë", None).await.unwrap(), 1);
    assert_eq!(names(folder.path()), BTreeSet::from([MARKER.to_owned()]));
    drop(store);
    let store = open(&folder).await;
    assert_eq!(store.load(&key).await.unwrap(), None);
    assert_eq!(store.count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_missing_directory_is_made_with_those_above_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/sessions");
    let store = FileStore::open(path.to_str().unwrap()).await.unwrap();
    let record = record("aaaaaaaaaaaaaaaa");
    assert_eq!(store.create(&record).await.unwrap(), Create::Created);
    assert_eq!(store.path(), path);
}

#[tokio::test]
async fn a_directory_with_anything_else_in_it_is_refused_and_left_alone() {
    let session = "61".repeat(16) + ".session";
    for name in ["notes.txt", ".hidden", &session] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), "mine").unwrap();
        let error = FileStore::open(folder.path()).await.unwrap_err();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
        assert_eq!(names(folder.path()), BTreeSet::from([name.to_owned()]));
        assert_eq!(fs::read(folder.path().join(name)).unwrap(), b"mine");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = FileStore::open(file.path()).await.unwrap_err();
    assert!(std::error::Error::source(&error).is_some(), "{error:?}");
}

#[tokio::test]
async fn a_directory_of_another_format_is_refused_and_left_alone() {
    let (store, folder) = filled(&[record("aaaaaaaaaaaaaaaa")]).await;
    drop(store);
    for content in ["obsession file store, format 2\n", "something else", ""] {
        fs::write(folder.path().join(MARKER), content).unwrap();
        let error = FileStore::open(folder.path()).await.unwrap_err();
        assert!(matches!(error, OpenError::UnknownFormat { .. }), "{error}");
        assert_eq!(
            fs::read(folder.path().join(MARKER)).unwrap(),
            content.as_bytes()
        );
    }
}

#[tokio::test]
async fn a_kill_while_the_directory_was_made_does_not_spoil_it() {
    for left in ["", "obsession file", "obsession\0\0\0\0\0"] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(MARKER), left).unwrap();
        let store = open(&folder).await;
        let record = record("aaaaaaaaaaaaaaaa");
        assert_eq!(store.create(&record).await.unwrap(), Create::Created);
        drop(store);
        let store = open(&folder).await;
        assert_eq!(store.load(&record.key).await.unwrap(), Some(record));
    }
}

#[tokio::test]
async fn one_store_has_the_directory_at_a_time_and_its_clones_are_that_one() {
    let (store, folder) = filled(&[]).await;
    let clone = store.clone();
    drop(store);
    let error = FileStore::open(folder.path()).await.unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    drop(clone);
    open(&folder).await;
}

#[tokio::test]
async fn what_an_interrupted_write_left_is_removed_and_nothing_else_is() {
    let record = record("aaaaaaaaaaaaaaaa");
    let (store, folder) = filled(std::slice::from_ref(&record)).await;
    drop(store);
    let leftover = file(&folder, &record.key, ".tmp");
    fs::write(&leftover, "half a").unwrap();
    fs::write(folder.path().join("notes.tmp"), "mine").unwrap();
    let store = open(&folder).await;
    assert!(!leftover.exists());
    assert!(folder.path().join("notes.tmp").exists());
    assert_eq!(store.load(&record.key).await.unwrap(), Some(record));
}

#[tokio::test]
async fn a_write_that_fails_keeps_the_old_bytes() {
    let old = record("aaaaaaaaaaaaaaaa");
    let (store, folder) = filled(std::slice::from_ref(&old)).await;
    // Where the temporary file should be, there is a directory, which cannot be overwritten.
    let obstacle = file(&folder, &old.key, ".tmp");
    fs::create_dir(&obstacle).unwrap();
    let before = fs::read(file(&folder, &old.key, ".session")).unwrap();
    let new = rewritten(&old);
    let error = store.update(old.revision, &new).await.unwrap_err();
    assert_eq!(error.effect(), Effect::NotApplied);
    assert!(std::error::Error::source(&error).is_some());
    let after = fs::read(file(&folder, &old.key, ".session")).unwrap();
    assert_eq!(after, before);
    assert_eq!(store.load(&old.key).await.unwrap().as_ref(), Some(&old));
    assert_eq!(
        store.scan(None, 10).await.unwrap(),
        std::slice::from_ref(&old)
    );

    fs::remove_dir(&obstacle).unwrap();
    let again = store.update(old.revision, &new).await.unwrap();
    assert_eq!(again, Update::Updated);
}

#[tokio::test]
async fn a_directory_that_is_gone_is_an_error_and_not_no_session() {
    let old = record("aaaaaaaaaaaaaaaa");
    let (store, folder) = filled(std::slice::from_ref(&old)).await;
    let away = folder.path().with_extension("away");
    fs::rename(folder.path(), &away).unwrap();
    let new = rewritten(&old);
    let none = record("bbbbbbbbbbbbbbbb");
    for effect in [
        store.load(&old.key).await.unwrap_err().effect(),
        store.load(&none.key).await.unwrap_err().effect(),
        store.update(old.revision, &new).await.unwrap_err().effect(),
        store
            .touch(&old.key, old.revision, LATER)
            .await
            .unwrap_err()
            .effect(),
        store.create(&none).await.unwrap_err().effect(),
        store.delete(&old.key).await.unwrap_err().effect(),
        store.delete(&none.key).await.unwrap_err().effect(),
        store.list("zoë", None, 1).await.unwrap_err().effect(),
    ] {
        assert_eq!(effect, Effect::NotApplied);
    }
    fs::rename(&away, folder.path()).unwrap();
    assert_eq!(store.load(&old.key).await.unwrap(), Some(old));
}

/// Damages the file of one of two sessions, and checks that this is nothing to the other one.
async fn damaged(damage: impl FnOnce(&TempDir, &Path)) {
    let (one, other) = (record("aaaaaaaaaaaaaaaa"), record("bbbbbbbbbbbbbbbb"));
    let expiring = Record {
        expires_at: NOW,
        ..record("cccccccccccccccc")
    };
    let (store, folder) = filled(&[one.clone(), other.clone(), expiring]).await;
    let path = file(&folder, &one.key, ".session");
    damage(&folder, &path);
    let bytes = fs::read(&path).unwrap();

    let others = std::slice::from_ref(&other);
    let check = async |store: &FileStore| {
        let new = rewritten(&one);
        for error in [
            store.load(&one.key).await.unwrap_err(),
            store.create(&new).await.unwrap_err(),
            store.update(one.revision, &new).await.unwrap_err(),
            store
                .touch(&one.key, one.revision, Timestamp::MAX)
                .await
                .unwrap_err(),
        ] {
            assert_eq!(error.effect(), Effect::NotApplied);
            assert!(std::error::Error::source(&error).is_some(), "{error:?}");
        }
        assert_eq!(fs::read(&path).unwrap(), bytes, "it is left alone");
        assert_eq!(store.load(&other.key).await.unwrap().as_ref(), Some(&other));
        assert_eq!(store.list("zoë", None, 9).await.unwrap(), others);
        assert_eq!(store.scan(None, 9).await.unwrap(), others);
    };
    check(&store).await;
    drop(store);
    let store = open(&folder).await;
    assert_eq!(store.count().await.unwrap(), 1);
    check(&store).await;
    assert_eq!(store.delete_expired(9).await.unwrap(), 1);
    check(&store).await;

    assert_eq!(store.delete(&one.key).await.unwrap(), Delete::Deleted);
    assert!(!path.exists());
    assert_eq!(store.create(&one).await.unwrap(), Create::Created);
}

#[tokio::test]
async fn a_damaged_file_is_an_error_for_its_key_only() {
    damaged(|_, path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[20] ^= 1;
        fs::write(path, bytes).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_an_error_for_its_key_only() {
    damaged(|_, path| fs::write(path, &fs::read(path).unwrap()[..30]).unwrap()).await;
    damaged(|_, path| fs::write(path, "").unwrap()).await;
}

#[tokio::test]
async fn a_file_under_the_name_of_another_key_is_an_error_for_that_key_only() {
    damaged(|folder, path| {
        let others = file(folder, &record("bbbbbbbbbbbbbbbb").key, ".session");
        fs::copy(others, path).map(drop).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_damaged_body_is_an_error_of_its_session() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).await.unwrap();
    let manager = SessionManager::new(store);
    let session = manager.open(None);
    session.insert("fruit", "quince").unwrap();
    session.save().await.unwrap();
    let path = file(&folder, &session.key().await.unwrap().unwrap(), ".session");
    let bytes = fs::read(&path).unwrap();
    for cut in [bytes.len() - 1, bytes.len() - 40] {
        fs::write(&path, &bytes[..cut]).unwrap();
        let again = manager.open(session.id().await.unwrap());
        let answer = again.get::<String>("fruit").await;
        assert!(matches!(answer, Err(Error::Corrupt { .. })), "{answer:?}");
    }
}

#[tokio::test]
async fn no_token_is_in_a_name_or_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).await.unwrap();
    let manager = SessionManager::builder_indexed(store).build();
    let mut secrets = Vec::new();
    for _ in 0..20 {
        let session = manager.open(None);
        session.insert("fruit", "quince").unwrap();
        session.sign_in("zoë").unwrap();
        session.save().await.unwrap();
        session.cycle().unwrap();
        session.save().await.unwrap();
        let id = session.id().await.unwrap().unwrap();
        secrets.push(id.expose()[SessionKey::LEN..].to_owned());
    }
    let mut planted = 0;
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mut hay = entry.file_name().into_encoded_bytes();
        hay.extend(fs::read(entry.path()).unwrap());
        let holds = |hay: &[u8], needle: &str| {
            let hex = hex(needle.as_bytes());
            let mut windows = hay.windows(needle.len());
            windows.any(|w| w == needle.as_bytes())
                || hay
                    .windows(hex.len())
                    .any(|w| w.eq_ignore_ascii_case(hex.as_bytes()))
        };
        // The control: what is in the files is found in them.
        planted += usize::from(holds(&hay, "quince"));
        for secret in &secrets {
            assert!(!holds(&hay, secret), "{:?}", entry.file_name());
        }
    }
    assert_eq!(planted, secrets.len());
}

#[tokio::test]
async fn keys_that_differ_in_case_have_names_that_differ_in_more() {
    let keys = ["aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaA", "AAAAAAAAAAAAAAAA"];
    let (store, folder) = filled(&keys.map(record)).await;
    let names = names(folder.path());
    let in_one_case: BTreeSet<_> = names.iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(in_one_case, names);
    assert_eq!(names.len(), 1 + keys.len());
    assert_eq!(store.count().await.unwrap(), 3);
}

#[tokio::test]
async fn a_subject_that_a_row_cannot_hold_is_refused() {
    let (store, _folder) = filled(&[]).await;
    let record = Record {
        subject: Some(Arc::from("s".repeat(Record::MAX_SUBJECT + 1))),
        ..record("aaaaaaaaaaaaaaaa")
    };
    assert!(store.create(&record).await.is_err());
    assert_eq!(store.load(&record.key).await.unwrap(), None);
}

#[tokio::test]
async fn a_call_whose_future_is_dropped_ends_all_the_same() {
    let record = record("aaaaaaaaaaaaaaaa");
    let (store, folder) = filled(&[]).await;
    {
        let mut call = pin!(store.create(&record));
        let poll = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll.is_pending());
    }
    // The call holds the directory until it ends.
    drop(store);
    let store = loop {
        match FileStore::open(folder.path()).await {
            Err(OpenError::InUse { .. }) => tokio::task::yield_now().await,
            opened => break opened.unwrap(),
        }
    };
    assert_eq!(names(folder.path()).len(), 2);
    drop(store);
    assert_eq!(
        open(&folder).await.load(&record.key).await.unwrap(),
        Some(record)
    );
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_may_read_what_it_makes() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/sessions");
    let store = FileStore::open(&path).await.unwrap();
    let old = record("aaaaaaaaaaaaaaaa");
    assert_eq!(store.create(&old).await.unwrap(), Create::Created);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.path().join("a")), 0o700);
    assert_eq!(mode(&path), 0o700);
    for name in names(&path) {
        assert_eq!(mode(&path.join(&name)), 0o600, "{name}");
    }
}
