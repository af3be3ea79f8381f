//! The store: sessions by whose they are, and by their deadlines.

use std::sync::Arc;

use async_trait::async_trait;
use obsession_core::{Record, ScanCursor, SessionIndex, SessionKey, StoreError};

use crate::SqlStore;
use crate::dialect::{Dialect, Role, Seen, State};
use crate::error::Failure;
use crate::store::after_some;

/// How many sessions of a subject are ended at once. Others are served in between.
const STEP: usize = 128;

#[async_trait]
impl<D: Dialect> SessionIndex for SqlStore<D> {
    async fn list(
        &self,
        subject: &str,
        after: Option<&SessionKey>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let (subject, after): (Arc<str>, _) = (subject.into(), after.copied());
        let lanes = &self.shared.lanes;
        let listed = lanes.alone(Role::Reads, self.until(), move |dialect, connection, at| {
            let subject = Arc::clone(&subject);
            Box::pin(async move {
                dialect
                    .list(connection, &subject, after.as_ref(), limit, at)
                    .await
            })
        });
        Ok(records(listed.await.map_err(Failure::of_read)?))
    }

    async fn delete_subject(
        &self,
        subject: &str,
        except: Option<&SessionKey>,
    ) -> Result<usize, StoreError> {
        let until = self.until();
        let subject: Arc<str> = subject.into();
        let of = Arc::clone(&subject);
        let lanes = &self.shared.lanes;
        let keys = lanes.alone(Role::Reads, until, move |dialect, connection, _| {
            let of = Arc::clone(&of);
            Box::pin(async move { dialect.keys_of(connection, &of).await })
        });
        let mut keys = keys.await.map_err(Failure::of_read)?;
        keys.retain(|key| Some(key) != except);
        let mut ended = 0;
        for (n, keys) in keys.chunks(STEP).enumerate() {
            let (of, keys) = (Arc::clone(&subject), keys.to_vec());
            let step = lanes.alone(Role::Writes, until, move |dialect, connection, at| {
                let (of, keys) = (Arc::clone(&of), keys.clone());
                Box::pin(async move { dialect.end(connection, &of, &keys, at).await })
            });
            ended += step.await.map_err(|failure| after_some(n, failure))?;
        }
        Ok(ended)
    }

    async fn scan(
        &self,
        after: Option<ScanCursor>,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let lanes = &self.shared.lanes;
        let scanned = lanes.alone(Role::Reads, self.until(), move |dialect, connection, at| {
            Box::pin(dialect.scan(connection, after, limit, at))
        });
        Ok(records(scanned.await.map_err(Failure::of_read)?))
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let lanes = &self.shared.lanes;
        let counted = lanes.alone(Role::Reads, self.until(), |dialect, connection, at| {
            Box::pin(dialect.count(connection, at))
        });
        counted.await.map_err(Failure::of_read)
    }
}

/// The live ones. A damaged one is left out.
fn records(seen: Vec<Seen>) -> Vec<Record> {
    let live = seen.into_iter().filter(|seen| seen.state == State::Live);
    live.filter_map(|seen| {
        if seen.record.is_err() {
            tracing::warn!(key = %seen.key, "a damaged record was left out");
        }
        seen.record.ok()
    })
    .collect()
}
