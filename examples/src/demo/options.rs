//! What can be set, on the command line or in the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use obsession_core::{Lifetime, Serializer};

/// A small site with real sessions.
#[derive(Debug, Parser)]
#[command(name = "demo", version)]
pub(crate) struct Options {
    /// Where to listen.
    #[arg(long, env = "OBSESSION_LISTEN", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,

    /// Where sessions are kept: `sled:PATH`, `sqlite:PATH`, `file:PATH`, `memory:`,
    /// `postgres://USER@HOST/DATABASE`, `mysql://USER@HOST/DATABASE`, `redis://HOST`,
    /// `redis+sentinel://HOST,HOST?master=NAME` or `redis+cluster://HOST,HOST` (`rediss` is TLS);
    /// without it, sled in a folder under the user's data directory.
    #[arg(long, env = "OBSESSION_STORE", value_name = "URL")]
    pub(crate) store: Option<String>,

    /// How values are written. Both kinds are read, whatever is chosen.
    #[arg(long, env = "OBSESSION_SERIALIZER", value_enum, default_value_t = Format::Json)]
    serializer: Format,

    /// How long a session may go unused, such as `30m` or `14days`.
    #[arg(long, env = "OBSESSION_IDLE_TIMEOUT", default_value = "14days", value_parser = duration)]
    idle_timeout: Duration,

    /// How long a session may last after it began or its user signed in.
    #[arg(long, env = "OBSESSION_LIFETIME", default_value = "90days", value_parser = duration)]
    lifetime: Duration,

    /// A file with the certificate of this host and those that vouch for it, in PEM: the site is served
    /// over https, with the cookie that a real site would have.
    #[arg(
        long,
        env = "OBSESSION_TLS_CERTIFICATE",
        value_name = "FILE",
        requires = "tls_key"
    )]
    pub(crate) tls_certificate: Option<PathBuf>,

    /// A file with the certificate's private key, in PEM.
    #[arg(
        long,
        env = "OBSESSION_TLS_KEY",
        value_name = "FILE",
        requires = "tls_certificate"
    )]
    pub(crate) tls_key: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Json,
    Postcard,
}

impl Options {
    pub(crate) fn serializer(&self) -> Serializer {
        match self.serializer {
            Format::Json => Serializer::Json,
            Format::Postcard => Serializer::Postcard,
        }
    }

    pub(crate) fn lifetime(&self) -> Lifetime {
        Lifetime::new(self.idle_timeout, self.lifetime)
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if duration < Duration::from_secs(1) {
        return Err("at least a second, please".to_owned());
    }
    Ok(duration)
}
