//! What can go wrong with Redis, and what may have happened when it did.

use std::error::Error as StdError;
use std::fmt;

use obsession_core::StoreError;
use redis::{ErrorKind, RedisError, ServerErrorKind};

/// A store could not be opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL does not say where Redis is.
    Url {
        /// What is wrong with it. The URL itself may have a password, so it is not shown.
        reason: &'static str,
    },
    /// The URL asks for TLS, and this build has none: its feature `tls` is off.
    NoTls,
    /// The prefix has a brace, which would decide where a Cluster keeps the sessions.
    Prefix,
    /// The connection to a Cluster that was handed over sends commands again by itself. It has to come
    /// from a client that was built with `retries(0)`.
    Retries,
    /// Redis could not be reached, or refused the connection.
    Redis(RedisError),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { reason } => write!(f, "not a URL of Redis: {reason}"),
            Self::NoTls => f.write_str("TLS is not in this build; enable the feature `tls`"),
            Self::Prefix => f.write_str("the prefix of the keys has a brace"),
            Self::Retries => f.write_str("the connection to the Cluster sends commands again"),
            Self::Redis(_) => f.write_str("Redis could not be reached"),
        }
    }
}

impl StdError for ConnectError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Redis(source) => Some(source),
            _ => None,
        }
    }
}

impl From<RedisError> for ConnectError {
    fn from(source: RedisError) -> Self {
        Self::Redis(source)
    }
}

/// Why a call failed: the source of the [`StoreError`]s of this crate that come from Redis.
#[derive(Debug)]
pub struct CallError {
    kind: FailureKind,
    source: Option<RedisError>,
}

impl CallError {
    /// What kind of failure it was.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.kind
    }
}

/// Kinds of failures that an operator treats differently.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum FailureKind {
    /// No answer came before the deadline.
    Late,
    /// No connection could be made.
    Unreachable,
    /// The connection was lost while the call was under way.
    Dropped,
    /// `NOAUTH`, `WRONGPASS`, `NOPERM`: the credentials are missing, wrong or not enough.
    Refused,
    /// `OOM`: the server is at its `maxmemory` and evicts nothing.
    OutOfMemory,
    /// `READONLY`: the server is a replica.
    ReadOnly,
    /// `LOADING`: the server is reading its data from disk.
    Loading,
    /// `CLUSTERDOWN`, `MASTERDOWN`, `TRYAGAIN`, or redirections without end: who has the slot is
    /// being settled.
    ClusterDown,
    /// `MISCONF`: the server cannot write to its disk, and refuses writes for it.
    NotPersisting,
    /// `NOREPLICAS`: the server has fewer good replicas than it was told to want.
    NoReplicas,
    /// `BUSY`: somebody's script does not end.
    Busy,
    /// Fewer replicas than asked for have confirmed the end of a session; on the master it is done.
    NotReplicated,
    /// The server answered something that this crate did not ask for, or an error that it does not
    /// know.
    Unexpected,
}

impl FailureKind {
    const fn message(self) -> &'static str {
        match self {
            Self::Late => "Redis did not answer in time",
            Self::Unreachable => "Redis could not be reached",
            Self::Dropped => "the connection to Redis was lost",
            Self::Refused => "Redis refused the credentials or the command",
            Self::OutOfMemory => "Redis is out of memory",
            Self::ReadOnly => "the Redis server is a read-only replica",
            Self::Loading => "Redis is loading its data",
            Self::ClusterDown => "the Redis Cluster is not ready",
            Self::NotPersisting => "Redis cannot write to its disk",
            Self::NoReplicas => "Redis has too few replicas",
            Self::Busy => "Redis is busy with a script",
            Self::NotReplicated => "too few replicas have confirmed that the session has ended",
            Self::Unexpected => "Redis answered with something unexpected",
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.source, self.kind) {
            // Its own words are those of the `StoreError` above it.
            (Some(source), _) => source.fmt(f),
            (None, kind) => f.write_str(kind.message()),
        }
    }
}

impl StdError for CallError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().and_then(StdError::source)
    }
}

/// A call that failed, and whether the server may have carried it out.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) sent: bool,
    pub(crate) source: Option<RedisError>,
}

impl Failure {
    pub(crate) const fn late(sent: bool) -> Self {
        Self {
            kind: FailureKind::Late,
            sent,
            source: None,
        }
    }

    pub(crate) const fn unexpected() -> Self {
        Self {
            kind: FailureKind::Unexpected,
            sent: true,
            source: None,
        }
    }

    /// No connection was there to send it on.
    pub(crate) fn unreachable(source: RedisError) -> Self {
        let kind = match kind(&source) {
            FailureKind::Dropped | FailureKind::Unexpected => FailureKind::Unreachable,
            kind => kind,
        };
        Self {
            kind,
            sent: false,
            source: Some(source),
        }
    }

    /// The answer to a command that was sent.
    ///
    /// A server that answers with an error has not carried the command out: a script of ours does
    /// everything that can be refused before it changes a record.
    pub(crate) fn answered(source: RedisError) -> Self {
        let kind = kind(&source);
        let answered = matches!(
            source.kind(),
            ErrorKind::Server(_)
                | ErrorKind::Extension
                | ErrorKind::AuthenticationFailed
                | ErrorKind::ClusterConnectionNotFound
        );
        Self {
            kind,
            sent: !answered,
            source: Some(source),
        }
    }

    /// Whether a node refused it since it is being settled who has the slot.
    pub(crate) fn is_settling(&self) -> bool {
        self.kind == FailureKind::ClusterDown && !self.sent
    }

    /// Whether the server does not know a command or an option of it.
    pub(crate) fn is_about_syntax(&self) -> bool {
        let plain = ErrorKind::Server(ServerErrorKind::ResponseError);
        let source = self.source.as_ref();
        self.kind == FailureKind::Unexpected && source.is_some_and(|error| error.kind() == plain)
    }

    /// For a call that changes nothing.
    pub(crate) fn of_read(self) -> StoreError {
        StoreError::not_applied(self.kind.message()).caused_by(self.cause())
    }

    /// For a call that may have changed something.
    pub(crate) fn of_write(self) -> StoreError {
        if self.sent {
            StoreError::unknown(self.kind.message()).caused_by(self.cause())
        } else {
            self.of_read()
        }
    }

    fn cause(self) -> CallError {
        CallError {
            kind: self.kind,
            source: self.source,
        }
    }
}

fn kind(error: &RedisError) -> FailureKind {
    match error.kind() {
        ErrorKind::Io if error.is_timeout() => FailureKind::Late,
        ErrorKind::Io => FailureKind::Dropped,
        ErrorKind::AuthenticationFailed => FailureKind::Refused,
        ErrorKind::ClusterConnectionNotFound
        | ErrorKind::MasterNameNotFoundBySentinel
        | ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask) => {
            FailureKind::ClusterDown
        }
        _ => named(error),
    }
}

/// What the server's words say. Before Redis 7, an error inside a script is wrapped in another.
fn named(error: &RedisError) -> FailureKind {
    let code = error.code().unwrap_or_default();
    let detail = error.detail().unwrap_or_default();
    // And why a transaction was not carried out.
    let says = |word: &str| {
        let inside = ["-", "because of: "].map(|before| format!("{before}{word} "));
        code == word || inside.iter().any(|words| detail.contains(words))
    };
    // What a server says to a stranger whose command has more than ten parts, and, in the words of
    // Redis and of Valkey, about a command inside a script that a user may not run.
    let refusals = [
        "unauthenticated",
        "can't run this command",
        "ACL failure in script",
    ];
    if refusals.iter().any(|words| detail.contains(words)) {
        return FailureKind::Refused;
    }
    [
        (&["OOM"][..], FailureKind::OutOfMemory),
        (&["READONLY"], FailureKind::ReadOnly),
        (&["LOADING"], FailureKind::Loading),
        (
            &["CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN"],
            FailureKind::ClusterDown,
        ),
        (&["NOAUTH", "WRONGPASS", "NOPERM"], FailureKind::Refused),
        (&["MISCONF"], FailureKind::NotPersisting),
        (&["NOREPLICAS"], FailureKind::NoReplicas),
        (&["BUSY"], FailureKind::Busy),
    ]
    .into_iter()
    .find(|(words, _)| words.iter().any(|word| says(word)))
    .map_or(FailureKind::Unexpected, |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_that_was_not_carried_out_says_why() {
        for (why, kind) in [
            ("OOM command not allowed", FailureKind::OutOfMemory),
            ("READONLY You can't write", FailureKind::ReadOnly),
            ("NOREPLICAS Not enough", FailureKind::NoReplicas),
            ("previous errors.", FailureKind::Unexpected),
        ] {
            let line = format!("-EXECABORT Transaction discarded because of: {why}\r\n");
            let answer = redis::parse_redis_value(line.as_bytes()).unwrap();
            let failure = Failure::answered(answer.extract_error().unwrap_err());
            assert_eq!((failure.kind, failure.sent), (kind, false), "{why}");
        }
    }
}
