//! Whether a connection that was handed over sends a command once.

use obsession_core::Revision;
use redis::ErrorKind;
use redis::cluster_async::ClusterConnection;
use tokio::time::timeout;

use crate::ConnectError;
use crate::dial::Manner;

/// Counts how often it is run, and has whoever sends commands again do so at once.
const PROBE: &str = "
redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], 60000)
return redis.error_reply('READONLY only to see whether this is sent again')
";

/// Refuses a connection to a Cluster whose client was built with retries: it does not say, so it is
/// tried.
///
/// An update whose connection was lost would be sent again, be taken for somebody else's by its second
/// answer, and be made twice.
pub(crate) async fn check(
    mut connection: ClusterConnection,
    prefix: &str,
    manner: &Manner,
) -> Result<(), ConnectError> {
    let mark = Revision::fresh().map_err(|_| late())?.as_u64();
    let key = format!("{prefix}once:{mark:016x}");
    let sent = async {
        let mut probe = redis::cmd("EVAL");
        probe.arg(PROBE).arg(1).arg(&key);
        let refusal = probe.exec_async(&mut connection).await;
        let mut count = redis::cmd("GETDEL");
        count.arg(&key);
        let count: Option<u64> = count.query_async(&mut connection).await?;
        match (count, refusal) {
            // It was not run: what the server says instead is the reason.
            (None, Err(error)) => Err(error),
            (count, _) => Ok(count),
        }
    };
    match timeout(manner.patience, sent).await {
        Ok(Ok(Some(1))) => Ok(()),
        Ok(Ok(_)) => Err(ConnectError::Retries),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(late()),
    }
}

fn late() -> ConnectError {
    ConnectError::Redis((ErrorKind::Io, "the connection was not tried in time").into())
}
