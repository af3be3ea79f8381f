//! A record and what its body says.

use crate::body::Body;
use crate::{Error, Record, SessionKey};

/// A record that is the one that was asked for, and undamaged.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) record: Record,
    pub(crate) body: Body,
}

impl Live {
    /// Checks that a record is the one that was asked for and undamaged.
    pub(crate) fn checked(key: &SessionKey, record: Record) -> Result<Self, Error> {
        let checked = if record.key == *key {
            Body::decode(&record)
        } else {
            Err("the store gave the record of another key")
        };
        match checked {
            Ok(body) => Ok(Self { record, body }),
            Err(reason) => Err(Error::Corrupt { key: *key, reason }),
        }
    }
}
