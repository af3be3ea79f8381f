//! What is told of changes that are not kept, and of the store's answers.

use super::*;

#[tokio::test]
async fn changes_of_a_session_that_others_ended_or_took_over_are_told_as_dropped() {
    let (at, told) = observed();
    for why in [DropReason::Ended, DropReason::Replaced] {
        let id = at.stored().await;
        let session = at.open(&id);
        session.update("n", |n: &mut u64| *n += 1).await.unwrap();
        let other = at.other(&id);
        if why == DropReason::Ended {
            other.delete().await.unwrap();
        } else {
            other.sign_in("user-42").unwrap();
            other.save().await.unwrap();
        }
        let _ = session.finish(true).await.unwrap();
        assert_eq!(told.news(), [dropped(&id, why)]);
    }
}

#[tokio::test]
async fn changes_that_do_not_fit_are_told_as_refused() {
    let (at, told) = observed();
    let id = at.stored().await;
    for saves_itself in [false, true] {
        let session = at.open(&id);
        session.insert("large", &"x".repeat(1000)).unwrap();
        if saves_itself {
            session.save().await.unwrap_err();
            assert_eq!(told.news(), [], "they can still be made to fit");
        }
        let finished = session.finish(true).await;
        assert_eq!(finished.is_ok(), saves_itself);
        assert_eq!(told.news(), [dropped(&id, DropReason::Refused)]);
    }
}

#[tokio::test]
async fn changes_of_a_handler_that_failed_are_told_as_dropped() {
    let (at, told) = observed();
    let id = at.stored().await;
    let session = at.open(&id);
    session.names().await.unwrap();
    session.insert("n", &1).unwrap();
    let _ = session.finish(false).await.unwrap();
    assert_eq!(told.news(), [dropped(&id, DropReason::HandlerFailed)]);
    // Without changes there is nothing to drop.
    let _ = at.open(&id).finish(false).await.unwrap();
    assert_eq!(told.news(), []);
}

#[tokio::test]
async fn changes_that_a_failing_store_did_not_take_are_told_with_what_is_known() {
    let (at, told) = observed();
    for (fault, why) in [
        (Fault::Refuse, DropReason::StoreFailed),
        (Fault::LoseRequest, DropReason::InDoubt),
    ] {
        let id = at.stored().await;
        let session = at.open(&id);
        session.names().await.unwrap();
        session.insert("n", &1).unwrap();
        at.store.set_always(fault);
        session.finish(true).await.unwrap_err();
        at.store.set_always(Fault::Pass);
        assert_eq!(told.news(), [dropped(&id, why)]);
    }
}

#[tokio::test(start_paused = true)]
async fn every_answer_of_the_store_is_told_with_how_long_it_took() {
    let (at, told) = observed();
    let id = at.stored().await;
    at.store.plan([Fault::Delay(Duration::from_millis(70))]);
    let session = at.open(&id);
    session.names().await.unwrap();
    let answers = std::mem::take(&mut *told.0.lock().unwrap());
    let answered = Event::Answered {
        call: StoreCall::Load,
        took: Duration::from_millis(70),
        failed: None,
    };
    assert_eq!(answers, [answered]);
    session.insert("n", &1).unwrap();
    at.store.plan([Fault::LoseRequest]);
    session.save().await.unwrap();
    let calls = [
        (StoreCall::Update, Some(Effect::Unknown)),
        (StoreCall::Update, None),
    ];
    assert_eq!(told.calls(), calls);
    at.pass(3 * 24 * 60 * 60);
    let _ = at.open(&id).info().await.unwrap();
    let reader = at.open(&id);
    reader.names().await.unwrap();
    let _ = reader.finish(true).await.unwrap();
    let calls = [
        (StoreCall::Load, None),
        (StoreCall::Load, None),
        (StoreCall::Touch, None),
    ];
    assert_eq!(told.calls(), calls);
    at.store.plan([Fault::Refuse]);
    session.delete().await.unwrap_err();
    session.delete().await.unwrap();
    let refused = Some(Effect::NotApplied);
    let calls = [(StoreCall::Delete, refused), (StoreCall::Delete, None)];
    assert_eq!(told.calls(), calls);
}

/// What it is told is already so, it may look at the session that it is told of, and a panic in it
/// is nobody else's.
#[tokio::test]
async fn an_observer_may_look_at_the_session_and_may_panic() {
    #[derive(Debug)]
    struct Looks(Mutex<Option<obsession_core::Session>>);

    impl Events for Looks {
        fn tell(&self, event: &Event) {
            let session = self.0.lock().unwrap().clone();
            if let (Some(session), Event::Created { .. }) = (session, event) {
                assert!(session.activity().created);
                panic!("an observer's own mistake");
            }
        }
    }

    let looks = Arc::new(Looks(Mutex::new(None)));
    let told = Arc::new(Told::default());
    let manager = SessionManager::builder(MemoryStore::new())
        .events((Arc::clone(&looks), Arc::clone(&told)))
        .build();
    let session = manager.open(None);
    *looks.0.lock().unwrap() = Some(session.clone());
    session.insert("n", &1).unwrap();
    let id = saved(&session).await;
    assert!(manager.load_id(id).await.unwrap().is_some());
    assert_eq!(session.get::<u64>("n").await.unwrap(), Some(1));
    *looks.0.lock().unwrap() = None;
}
