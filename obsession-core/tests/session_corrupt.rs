//! Damaged records: an error or a fresh session, as the policy says, and never overwritten.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use common::{At, Fault, at, at_with, saved, sent};
use obsession_core::{
    ClientAction, Error, Record, Revision, SessionId, SessionStore, Unreadable, Update,
};

/// Where the entries begin in the body of a session that was stored the moment it was made: the
/// format, the flags, key and hash, and three times of one byte.
const ENTRIES: usize = 1 + 1 + 16 + 32 + 3;

/// Puts other bytes into the record of `id`.
async fn damage(at: &At, id: &SessionId, change: impl FnOnce(&mut Vec<u8>)) -> Record {
    let old = at.record(id).await.unwrap();
    let mut body = old.body.to_vec();
    change(&mut body);
    let new = Record {
        body: body.into(),
        revision: Revision::fresh().unwrap(),
        ..old.clone()
    };
    let answer = at.store.inner().update(old.revision, &new).await.unwrap();
    assert_eq!(answer, Update::Updated);
    new
}

/// Damage that a checksum does not tell.
fn with_checksum(body: &mut Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) {
    body.truncate(body.len() - 4);
    change(body);
    // CRC-32 as in ISO 3309, bit by bit.
    let crc = body.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    });
    body.extend((!crc).to_le_bytes());
}

async fn assert_corrupt(at: &At, id: &SessionId) {
    let answer = at.open(id).names().await;
    match answer {
        Err(Error::Corrupt { key, .. }) => assert_eq!(key, id.key()),
        answer => panic!("{answer:?}"),
    }
}

#[tokio::test]
async fn the_checksum_of_these_tests_is_that_of_the_library() {
    let at = at();
    let id = at.stored().await;
    damage(&at, &id, |body| with_checksum(body, |_| {})).await;
    assert_eq!(at.names(&id).await.unwrap(), ["cart"]);
}

#[tokio::test]
async fn a_damaged_record_is_an_error_for_everything_and_is_not_overwritten() {
    let at = at();
    let id = at.stored().await;
    let damaged = damage(&at, &id, |body| body[60] ^= 1).await;
    let add = |n: &mut u64| *n += 1;
    let session = at.open(&id);
    session.insert("a", &1).unwrap();
    session.sign_in("user-42").unwrap();
    for answer in [
        session.get::<u64>("cart").await.map(drop),
        session.contains("cart").await.map(drop),
        session.names().await.map(drop),
        session.id().await.map(drop),
        session.subject().await.map(drop),
        session.info().await.map(drop),
        session.update("n", add).await,
        session.take::<u64>("cart").await.map(drop),
        session.save().await,
        session.delete().await,
        session.finish(true).await.map(drop),
        at.manager.load_id(id.clone()).await.map(drop),
    ] {
        assert!(matches!(answer, Err(Error::Corrupt { .. })), "{answer:?}");
    }
    assert!(at.store.calls().iter().all(|call| *call == "load"));
    assert_eq!(at.record(&id).await, Some(damaged));
}

#[tokio::test]
async fn by_policy_a_damaged_record_is_no_session_and_is_left_alone() {
    let at = at_with(|builder| builder.unreadable(Unreadable::StartFresh));
    let id = at.stored().await;
    let damaged = damage(&at, &id, |body| body[60] ^= 1).await;
    let read = at.open(&id);
    assert!(read.is_empty().await.unwrap());
    assert_eq!(read.finish(true).await.unwrap(), ClientAction::Keep);

    let session = at.open(&id);
    session.insert("a", &1).unwrap();
    let next = sent(session.finish(true).await.unwrap()).unwrap();
    assert_ne!(next.key(), id.key());
    assert_eq!(at.names(&next).await.unwrap(), ["a"]);

    let deleted = at.open(&id);
    deleted.delete().await.unwrap();
    assert_eq!(deleted.finish(true).await.unwrap(), ClientAction::Clear);
    assert_eq!(at.record(&id).await, Some(damaged));
}

#[tokio::test]
async fn every_flipped_bit_and_every_cut_is_noticed() {
    let at = at();
    let id = at.stored().await;
    let length = at.record(&id).await.unwrap().body.len();
    for bit in 0..length * 8 {
        damage(&at, &id, |body| body[bit / 8] ^= 1 << (bit % 8)).await;
        assert_corrupt(&at, &id).await;
        damage(&at, &id, |body| body[bit / 8] ^= 1 << (bit % 8)).await;
    }
    assert_eq!(at.names(&id).await.unwrap(), ["cart"]);
    for length in (0..length).rev() {
        damage(&at, &id, |body| body.truncate(length)).await;
        assert_corrupt(&at, &id).await;
    }
}

/// Values were pickles, and reading one runs what it says. Here a value names one of two formats
/// of plain data, and anything else is not read.
#[tokio::test]
async fn a_value_of_an_unknown_serializer_is_not_read() {
    let at = at();
    for tag in [2, 3] {
        let id = at.stored().await;
        damage(&at, &id, |body| {
            with_checksum(body, |body| {
                let header = ENTRIES + 1 + "cart".len();
                assert_eq!(body[header] & 3, 0, "JSON");
                body[header] |= tag;
            });
        })
        .await;
        assert_corrupt(&at, &id).await;
    }
    // A pickle that runs a command when it is read.
    let pickle = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.";
    let id = at.stored().await;
    damage(&at, &id, |body| *body = pickle.to_vec()).await;
    assert_corrupt(&at, &id).await;
    damage(&at, &id, |body| *body = b"{\"user\": \"zoe\"}".to_vec()).await;
    assert_corrupt(&at, &id).await;
}

#[tokio::test]
async fn a_later_format_is_not_guessed_at() {
    let at = at();
    let id = at.stored().await;
    damage(&at, &id, |body| with_checksum(body, |body| body[0] = 2)).await;
    assert_corrupt(&at, &id).await;
}

#[tokio::test]
async fn the_record_of_another_session_is_an_error() {
    let at = at();
    let (mine, theirs) = (at.stored().await, at.stored().await);
    let body = at.record(&theirs).await.unwrap().body;
    damage(&at, &mine, |bytes| *bytes = body.to_vec()).await;
    assert_corrupt(&at, &mine).await;
    assert_eq!(at.names(&theirs).await.unwrap(), ["cart"]);
}

/// A store that mixes up its answers is noticed before anybody sees what is another's.
#[tokio::test]
async fn a_store_that_answers_with_another_record_is_an_error() {
    let at = at();
    let (mine, theirs) = (at.stored().await, at.stored().await);
    at.store
        .set_always(Fault::Answer(at.record(&theirs).await.unwrap()));
    assert_corrupt(&at, &mine).await;
    let session = at.open(&mine);
    assert!(session.delete().await.is_err());
    assert!(at.names(&theirs).await.is_some());
}

/// The deadline was looked at before the key: a mixed-up answer of a session that had expired was
/// "no session", and whoever presented a good token was treated as a stranger.
#[tokio::test]
async fn a_store_that_answers_with_another_expired_record_is_an_error() {
    let at = at();
    let theirs = at.stored().await;
    let theirs = at.record(&theirs).await.unwrap();
    at.clock.set(theirs.expires_at);
    let mine = at.stored().await;
    at.store.set_always(Fault::Answer(theirs));
    assert_corrupt(&at, &mine).await;
}

/// Whoever ended a session of their own by its key was believed on a mixed-up answer: the session
/// of that key was ended, whosever it was.
#[tokio::test]
async fn a_session_is_not_ended_on_the_record_of_another() {
    let at = at();
    let (mine, theirs) = (at.others.open(None), at.stored().await);
    mine.sign_in("zoë").unwrap();
    let mine = saved(&mine).await;
    at.store
        .set_always(Fault::Answer(at.record(&mine).await.unwrap()));
    let ended = at.manager.end("zoë", &theirs.key()).await;
    assert!(matches!(ended, Err(Error::Corrupt { .. })), "{ended:?}");
    assert!(at.names(&theirs).await.is_some());
}

#[tokio::test]
async fn a_record_that_is_damaged_while_a_request_is_under_way_is_not_overwritten() {
    let at = Arc::new(at());
    let id = at.stored().await;
    let session = at.open(&id);
    session.insert("a", &1).unwrap();
    session.contains("cart").await.unwrap();
    let (shared, token) = (Arc::clone(&at), id.clone());
    at.store.plan([Fault::behind(async move {
        damage(&shared, &token, |body| body[60] ^= 1).await;
    })]);
    let answer = session.save().await;
    assert!(matches!(answer, Err(Error::Corrupt { .. })), "{answer:?}");
    assert_corrupt(&at, &id).await;
}

/// Half a JSON document failed every request that came with its cookie, for ever and with an
/// exception that nobody caught. Here that is an error of one value, and the others are read.
#[tokio::test]
async fn half_a_value_is_an_error_of_that_value() {
    let at = at();
    let session = at.others.open(None);
    session.insert("a", &["quince"]).unwrap();
    session.insert("b", &1).unwrap();
    let id = saved(&session).await;
    damage(&at, &id, |body| {
        with_checksum(body, |body| {
            let end = ENTRIES + 3 + "[\"quince\"]".len() - 1;
            assert_eq!(body[end], b']');
            body[end] = b' ';
        });
    })
    .await;
    let session = at.open(&id);
    let answer = session.get::<Vec<String>>("a").await;
    assert!(matches!(answer, Err(Error::Decode { .. })), "{answer:?}");
    assert_eq!(session.get("b").await.unwrap(), Some(1));
}
