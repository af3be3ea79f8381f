//! A record and what its body says.

use crate::body::Body;
use crate::{Error, Record, SessionKey};

/// A record that is the one that was asked for, and undamaged.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) record: Record,
    pub(crate) body: Body,
}

/// What is in a record, which is checked to be the one that was asked for and undamaged.
pub(crate) fn checked(key: &SessionKey, record: &Record) -> Result<Body, Error> {
    asked_for(key, record)?;
    Body::decode(record).map_err(|reason| Error::Corrupt { key: *key, reason })
}

/// Checks that a record is the one that was asked for.
pub(crate) fn asked_for(key: &SessionKey, record: &Record) -> Result<(), Error> {
    if record.key == *key {
        return Ok(());
    }
    let reason = "the store gave the record of another key";
    Err(Error::Corrupt { key: *key, reason })
}
