//! TLS in front of the site, if there is a certificate.

use std::io;
use std::path::Path;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::options::Options;

/// How long a client may take to greet.
#[cfg(feature = "tls")]
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// What a connection is read from and written to.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// How clients are greeted: with TLS, or not at all.
#[derive(Clone)]
pub(crate) enum Greeting {
    Plain,
    #[cfg(feature = "tls")]
    Tls(tokio_rustls::TlsAcceptor),
}

impl Greeting {
    /// As `--tls-certificate` and `--tls-key` say.
    pub(crate) fn of(options: &Options) -> Result<Self, String> {
        match (&options.tls_certificate, &options.tls_key) {
            (Some(certificate), Some(key)) => tls(certificate, key),
            _ => Ok(Self::Plain),
        }
    }

    pub(crate) fn scheme(&self) -> &'static str {
        match self {
            Self::Plain => "http",
            #[cfg(feature = "tls")]
            Self::Tls(_) => "https",
        }
    }

    /// Greets a client. One that says nothing is given up after a while; call this where only that
    /// client waits for it.
    pub(crate) async fn greet(self, stream: TcpStream) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Plain => Ok(Box::new(stream)),
            #[cfg(feature = "tls")]
            Self::Tls(acceptor) => {
                let greeted = tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await;
                Ok(Box::new(greeted.map_err(io::Error::from)??))
            }
        }
    }
}

#[cfg(feature = "tls")]
fn tls(certificate: &Path, key: &Path) -> Result<Greeting, String> {
    use std::sync::Arc;

    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let wrong = |option: &str, path: &Path, error: &dyn std::fmt::Display| {
        format!("{option} {}: {error}", path.display())
    };
    let in_certificate = |error| wrong("--tls-certificate", certificate, &error);
    let chain = CertificateDer::pem_file_iter(certificate).map_err(in_certificate)?;
    let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(in_certificate)?;
    if chain.is_empty() {
        let nothing = &"no certificate is in it";
        return Err(wrong("--tls-certificate", certificate, nothing));
    }
    let private = PrivateKeyDer::from_pem_file(key);
    let private = private.map_err(|error| wrong("--tls-key", key, &error))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| wrong("--tls-key", key, &error))?;
    Ok(Greeting::Tls(Arc::new(config).into()))
}

#[cfg(not(feature = "tls"))]
fn tls(_: &Path, _: &Path) -> Result<Greeting, String> {
    Err("--tls-certificate: is not in this build; build with `--features tls`".to_owned())
}
