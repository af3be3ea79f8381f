//! The script that visits the demo with curl, against real demos.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Demo, stores};

#[test]
fn curl_with_a_cookie_jar_visits_signs_in_and_out() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("curl.sh");
    let folder = tempfile::tempdir().unwrap();
    for store in stores(folder.path()) {
        let demo = Demo::start(&store);
        let run = Command::new(&script)
            .arg(format!("http://{}", demo.address))
            .output()
            .expect("the script runs, which takes bash and curl");
        let (out, err) = (
            String::from_utf8_lossy(&run.stdout),
            String::from_utf8_lossy(&run.stderr),
        );
        assert!(run.status.success(), "{store}: {out}{err}");
        assert!(out.ends_with("all as it should be\n"), "{out}");
    }
}
