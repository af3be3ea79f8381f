//! What the client is to be told, and for how long it keeps that.

use std::time::Duration;

use crate::Timestamp;
use crate::activity::ClientAction;
use crate::body::Body;
use crate::manager::Shared;
use crate::state::{Base, State};

impl State {
    /// What the client is to be told about all that has been acknowledged.
    pub(crate) fn client_action(&self, shared: &Shared, max_age: Option<Duration>) -> ClientAction {
        match (&self.base, &self.id) {
            (Base::Live(live), Some(id)) if self.issue.is_some() => {
                let limit = shared.effective(&live.body).limit(live.record.created_at);
                let rest = limit.saturating_since(shared.clock.now());
                let max_age = keep_for(&live.body, max_age).map(|keep| keep.min(rest));
                ClientAction::Set {
                    id: id.clone(),
                    max_age,
                }
            }
            (Base::Absent(_), _) if self.clear => ClientAction::Clear,
            _ => ClientAction::Keep,
        }
    }

    /// Whether the client's copy should be renewed.
    pub(crate) fn reissue_due(&self, max_age: Option<Duration>, now: Timestamp) -> bool {
        self.id.is_some()
            && !self.head_sent
            && self
                .body()
                .is_some_and(|body| reissue_due(body, max_age, now))
    }
}

/// How long the client is told to keep its token: the session's own word goes before the
/// transport's.
fn keep_for(body: &Body, max_age: Option<Duration>) -> Option<Duration> {
    match body.head.lifetime {
        Some(own) => own.is_persistent().then(|| own.idle()),
        None => max_age,
    }
}

pub(crate) fn reissue_due(body: &Body, max_age: Option<Duration>, now: Timestamp) -> bool {
    // A stamp of its own: were it the time of the last write, a session that is written on every
    // request would never be sent again, and its active user would be logged out.
    keep_for(body, max_age)
        .is_some_and(|keep| now.saturating_since(body.head.issued_at) >= keep / 8)
}
