//! What is told of tokens, and of records, that are not as they should be.

use super::*;

#[tokio::test]
async fn a_token_without_a_session_is_told_as_unknown() {
    let (at, told) = observed();
    let id = at.stored().await;
    at.other(&id).delete().await.unwrap();
    let session = at.open(&id);
    session.names().await.unwrap();
    session.names().await.unwrap();
    let key = id.key();
    assert_eq!(told.news(), [Event::Unknown { key }]);
}

#[tokio::test]
async fn a_replaced_token_is_told_as_reuse_and_whether_that_was_recent() {
    let (at, told) = observed();
    let old = at.stored().await;
    let other = at.other(&old);
    other.cycle().unwrap();
    other.save().await.unwrap();
    let key = old.key();
    for recent in [true, false] {
        let session = at.open(&old);
        assert!(session.is_empty().await.unwrap());
        assert_eq!(told.news(), [Event::Reuse { key, recent }]);
        at.pass(60);
    }
}

#[derive(Debug)]
struct Presents(Presented);

impl IdSource for Presents {
    fn presented(&self) -> Presented {
        self.0.clone()
    }

    fn max_age(&self) -> Option<Duration> {
        None
    }
}

#[tokio::test]
async fn malformed_and_duplicate_tokens_are_told_once_a_request() {
    let (at, told) = observed();
    for (presented, event) in [
        (Presented::Malformed, Event::Malformed),
        (Presented::Ambiguous, Event::Duplicate),
    ] {
        let session = at.manager.open_with(Presents(presented));
        assert_eq!(told.news(), [], "nobody has looked");
        session.names().await.unwrap();
        session.names().await.unwrap();
        let _ = session.finish(true).await.unwrap();
        assert_eq!(told.news(), [event]);
    }
    assert_eq!(at.store.calls(), [""; 0]);
}

/// Also where the transport has the first one used that loads.
#[tokio::test]
async fn several_tokens_are_told_as_a_duplicate_whichever_is_used() {
    let (at, told) = observed();
    let (gone, id) = (at.stored().await, at.stored().await);
    at.other(&gone).delete().await.unwrap();
    let several = Presented::Several(vec![gone.clone(), id]);
    let session = at.manager.open_with(Presents(several));
    assert_eq!(session.names().await.unwrap(), ["cart"]);
    let unknown = Event::Unknown { key: gone.key() };
    assert_eq!(told.news(), [Event::Duplicate, unknown]);
}

#[tokio::test]
async fn a_damaged_record_is_told() {
    let (at, told) = observed();
    let id = at.stored().await;
    let record = at.record(&id).await.unwrap();
    let damaged = Record {
        body: record.body[1..].into(),
        revision: Revision::fresh().unwrap(),
        ..record.clone()
    };
    let updating = at.store.inner().update(record.revision, &damaged);
    let _ = updating.await.unwrap();
    at.open(&id).names().await.unwrap_err();
    let key = id.key();
    assert_eq!(told.news(), [Event::Corrupt { key }]);
}
