//! A browser that is thrown away.

use std::ffi::OsString;
use std::fs;
use std::io;

use rustix::process::Signal;

use crate::Certificates;
use crate::daemon::Daemon;

/// What Chromium is started with: no window, no word to anybody outside this machine.
const FLAGS: [&str; 13] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    "--remote-debugging-port=0",
];

/// Chromium without a window and with a new profile, and the driver of it. Both end with this value,
/// and at the latest with this process.
#[derive(Debug)]
pub struct Browser {
    // The driver goes first.
    driver: Daemon,
    chromium: Daemon,
    driver_port: u16,
    debugger_port: u16,
}

impl Browser {
    /// Starts one that trusts these certificates' server besides those that the system trusts.
    ///
    /// # Errors
    ///
    /// `chromium` or `chromedriver` is not installed, or does not start.
    pub fn start(trusted: Option<&Certificates>) -> io::Result<Self> {
        let mut browser = Daemon::new(Signal::TERM)?;
        let profile = browser.folder().join("profile");
        let mut command: Vec<OsString> = vec!["chromium".into()];
        command.extend(FLAGS.map(OsString::from));
        if let Some(certificates) = trusted {
            let key = certificates.fingerprint()?;
            command.push(format!("--ignore-certificate-errors-spki-list={key}").into());
        }
        let mut folder = OsString::from("--user-data-dir=");
        folder.push(&profile);
        command.extend([folder, "about:blank".into()]);
        browser.start(&command)?;
        let mut driver = Daemon::new(Signal::TERM)?;
        driver.start(&["chromedriver".into(), "--port=0".into()])?;

        // Both choose a port, and say which.
        let chosen = profile.join("DevToolsActivePort");
        let debugger_port = || {
            let text = fs::read_to_string(&chosen)?;
            let port = text.split_once('\n').map(|(port, _)| port);
            number(port.unwrap_or_default())
        };
        browser.wait_until(|| debugger_port().map(drop))?;
        let driver_port = || {
            let log = driver.log();
            let port = log.split("successfully on port ").nth(1);
            let port = port.and_then(|rest| rest.split_once('.'));
            number(port.map_or("", |(port, _)| port))
        };
        driver.wait_until(|| driver_port().map(drop))?;
        Ok(Self {
            driver_port: driver_port()?,
            debugger_port: debugger_port()?,
            driver,
            chromium: browser,
        })
    }

    /// Where the driver listens, as a URL.
    #[must_use]
    pub fn driver(&self) -> String {
        format!("http://127.0.0.1:{}", self.driver_port)
    }

    /// Where the browser lets itself be driven: the driver's `debuggerAddress`.
    #[must_use]
    pub fn debugger(&self) -> String {
        format!("127.0.0.1:{}", self.debugger_port)
    }

    /// What both have printed.
    #[must_use]
    pub fn log(&self) -> String {
        self.chromium.log() + &self.driver.log()
    }
}

fn number(text: &str) -> io::Result<u16> {
    let missing = |_| io::Error::other("no port is known yet");
    text.parse().map_err(missing)
}
