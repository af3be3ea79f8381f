//! Certificates that are thrown away.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::account::Account;

/// The certificate of a server on `localhost` and 127.0.0.1, and of the authority that vouches for it.
/// Both end after a day, and their files with this value.
#[derive(Debug)]
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// Makes them.
    ///
    /// # Errors
    ///
    /// `openssl` is not installed, or does not do it.
    pub fn new() -> io::Result<Self> {
        let made = Self {
            folder: tempfile::tempdir()?,
        };
        std::fs::write(
            made.file("ext"),
            "subjectAltName=DNS:localhost,IP:127.0.0.1\n",
        )?;
        let new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        made.openssl(&format!(
            "req -x509 -days 1 -subj /CN=test {new} -keyout ca.key -out ca"
        ))?;
        made.openssl(&format!(
            "req -subj /CN=localhost {new} -keyout key -out request"
        ))?;
        made.openssl(
            "x509 -req -days 1 -in request -CA ca -CAkey ca.key -CAcreateserial -extfile ext -out cert",
        )?;
        Ok(made)
    }

    /// The authority's certificate.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.file("ca")
    }

    /// The server's certificate.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.file("cert")
    }

    /// The server's key.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.file("key")
    }

    /// Copies of the certificate and the key in this folder, for a server that runs as this account: it
    /// wants a key that is its own and nobody else's to read.
    pub(crate) fn give(&self, account: &Account, folder: &Path) -> io::Result<[PathBuf; 2]> {
        let give = |name| {
            let own = folder.join(format!("tls-{name}"));
            std::fs::copy(self.file(name), &own)?;
            account.give(&own)?;
            io::Result::Ok(own)
        };
        Ok([give("cert")?, give("key")?])
    }

    /// The SHA-256 of the server's public key, in base64, as browsers name one.
    ///
    /// # Errors
    ///
    /// `openssl` does not do it.
    pub fn fingerprint(&self) -> io::Result<String> {
        self.openssl("x509 -in cert -noout -pubkey -out public")?;
        self.openssl("pkey -pubin -in public -outform der -out public.der")?;
        self.openssl("dgst -sha256 -binary -out digest public.der")?;
        self.openssl("base64 -A -in digest -out fingerprint")?;
        Ok(std::fs::read_to_string(self.file("fingerprint"))?
            .trim()
            .to_owned())
    }

    /// What has a Redis server use them. It asks nobody else for a certificate.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        let path = |name| self.file(name).to_string_lossy().into_owned();
        vec![
            ("tls-cert-file", path("cert")),
            ("tls-key-file", path("key")),
            ("tls-ca-cert-file", path("ca")),
            ("tls-auth-clients", "no".to_owned()),
        ]
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn openssl(&self, words: &str) -> io::Result<()> {
        let mut command = Command::new("openssl");
        command
            .args(words.split(' '))
            .current_dir(self.folder.path());
        let made = command.output().map_err(|error| {
            let say = "openssl is not installed (Debian and Ubuntu: apt-get install openssl)";
            io::Error::new(error.kind(), say)
        })?;
        if made.status.success() {
            Ok(())
        } else {
            Err(io::Error::other(
                String::from_utf8_lossy(&made.stderr).into_owned(),
            ))
        }
    }
}
