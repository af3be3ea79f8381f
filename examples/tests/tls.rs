//! The demo over https: its cookie, its files, and clients that take their time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

#[cfg(not(feature = "tls"))]
#[test]
fn a_build_without_tls_names_the_feature() {
    let files = ["--tls-certificate", "x", "--tls-key", "x"];
    let said = common::Demo::try_start("memory:", &files, "info");
    let said = said.err().unwrap();
    assert!(said.contains("--features tls"), "{said}");
}

#[cfg(feature = "tls")]
mod with_the_feature {
    use std::io::Read;
    use std::net::TcpStream;
    use std::path::Path;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use testing::Certificates;

    use crate::common::Demo;

    fn start(certificate: &Path, key: &Path) -> Result<Demo, String> {
        let [certificate, key] = [certificate, key].map(|path| path.to_str().unwrap());
        let files = ["--tls-certificate", certificate, "--tls-key", key];
        Demo::try_start("memory:", &files, "info")
    }

    /// What curl is answered, with the head.
    fn visit(demo: &Demo, certificates: &Certificates) -> String {
        let run = Command::new("curl")
            .args(["--silent", "--show-error", "--include", "--max-time", "8"])
            .args(["--request", "POST", "--cacert"])
            .arg(certificates.authority())
            .arg(format!("https://{}/visit", demo.address))
            .output()
            .expect("curl runs");
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{said}");
        String::from_utf8(run.stdout).unwrap()
    }

    #[test]
    fn over_https_the_cookie_is_that_of_a_real_site() {
        let certificates = Certificates::new().unwrap();
        let demo = start(&certificates.certificate(), &certificates.key()).unwrap();
        let answer = visit(&demo, &certificates);
        let cookie = answer
            .lines()
            .find_map(|line| line.strip_prefix("set-cookie: "))
            .unwrap_or_else(|| panic!("no cookie: {answer}"));
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert!(pair.starts_with("__Host-id="), "{pair}");
        assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn a_client_that_does_not_greet_keeps_nobody_waiting_and_is_given_up() {
        let certificates = Certificates::new().unwrap();
        let demo = start(&certificates.certificate(), &certificates.key()).unwrap();
        let mut silent: Vec<_> = (0..8)
            .map(|_| TcpStream::connect(demo.address).unwrap())
            .collect();
        assert!(visit(&demo, &certificates).contains("\"visits\":1"));
        for stream in &mut silent {
            // The demo closes it; if it never did, this would be an error.
            let patience = Some(Duration::from_secs(30));
            stream.set_read_timeout(patience).unwrap();
            assert_eq!(stream.read(&mut [0; 16]).unwrap(), 0);
        }
    }

    #[test]
    fn a_server_that_stops_does_not_wait_for_greetings() {
        let certificates = Certificates::new().unwrap();
        let demo = start(&certificates.certificate(), &certificates.key()).unwrap();
        let silent = TcpStream::connect(demo.address).unwrap();
        // Answered after the silent one was accepted: they are taken in turn.
        visit(&demo, &certificates);
        let began = Instant::now();
        demo.interrupt();
        let (status, log) = demo.wait();
        assert!(status.success());
        assert!(began.elapsed() < Duration::from_secs(5));
        let log = String::from_utf8_lossy(&log);
        assert!(log.contains("stopped") && !log.contains("dropped"), "{log}");
        drop(silent);
    }

    #[test]
    fn files_that_are_not_what_they_should_be_are_named() {
        let certificates = Certificates::new().unwrap();
        let other = Certificates::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (certificates.certificate(), certificates.key());
        let nothing = folder.path().join("nothing");
        let [empty, letter, broken, bytes] = [
            ("empty", &b""[..]),
            ("letter", b"dear"),
            (
                "broken",
                b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            ),
            ("bytes", b"\xff\x00\xfe"),
        ]
        .map(|(name, text)| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        });
        for (certificate, key, named) in [
            (&nothing, &key, "--tls-certificate"),
            (&empty, &key, "--tls-certificate"),
            (&letter, &key, "--tls-certificate"),
            (&bytes, &key, "--tls-certificate"),
            (&key, &key, "--tls-certificate"),
            (&broken, &key, "--tls-"),
            (&certificate, &nothing, "--tls-key"),
            (&certificate, &empty, "--tls-key"),
            (&certificate, &letter, "--tls-key"),
            (&certificate, &certificate, "--tls-key"),
            (&certificate, &other.key(), "--tls-key"),
        ] {
            let case = format!("{} {}", certificate.display(), key.display());
            let said = start(certificate, key).err().expect(&case);
            let wrong = if named == "--tls-key" {
                key
            } else {
                certificate
            };
            assert!(said.contains(named), "{case}: {said}");
            assert!(
                said.contains("demo: ") && !said.contains("panicked"),
                "{said}"
            );
            if named != "--tls-" {
                assert!(said.contains(wrong.to_str().unwrap()), "{said}");
            }
        }
        let path = certificate.to_str().unwrap();
        let alone = Demo::try_start("memory:", &["--tls-certificate", path], "info");
        assert!(alone.err().unwrap().contains("--tls-key"));
    }
}
