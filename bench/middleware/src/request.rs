//! What is asked, and for which sessions.

use bytes::Bytes;
use work::{Outcome, Size};

/// The key that is read and written, one of those in the middle.
pub(crate) const KEY: &str = "key-7";

/// What the handler does with the session; the path of a request says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    Untouched,
    Read,
    ReadAndWrite,
    New,
    Fill,
    SignIn,
}

impl Work {
    pub(crate) const ALL: [Self; 6] = [
        Self::Untouched,
        Self::Read,
        Self::ReadAndWrite,
        Self::New,
        Self::Fill,
        Self::SignIn,
    ];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Untouched => "/untouched",
            Self::Read => "/read",
            Self::ReadAndWrite => "/read-and-write",
            Self::New => "/new",
            Self::Fill => "/fill",
            Self::SignIn => "/sign-in",
        }
    }

    pub(crate) fn at(path: &str) -> Outcome<Self> {
        let found = Self::ALL.into_iter().find(|work| work.path() == path);
        Ok(found.ok_or("there is nothing at this path")?)
    }

    /// Whether its client has no session yet.
    pub(crate) fn makes(self) -> bool {
        matches!(self, Self::New | Self::Fill)
    }
}

/// What is measured: a row of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Workload {
    pub name: &'static str,
    pub work: Work,
    pub other_cookies: bool,
}

impl Workload {
    pub fn named(name: &str) -> Outcome<Self> {
        let found = WORKLOADS.into_iter().find(|workload| workload.name == name);
        Ok(found.ok_or_else(|| format!("there is no request {name}"))?)
    }
}

const fn plain(name: &'static str, work: Work) -> Workload {
    Workload {
        name,
        work,
        other_cookies: false,
    }
}

pub const WORKLOADS: [Workload; 7] = [
    plain("not touched", Work::Untouched),
    plain("read", Work::Read),
    Workload {
        name: "read, 8 other cookies",
        work: Work::Read,
        other_cookies: true,
    },
    plain("read + write", Work::ReadAndWrite),
    plain("new, one key", Work::New),
    plain("new, all keys", Work::Fill),
    plain("sign-in", Work::SignIn),
];

/// A request: what, and the line of its cookies. The buffer is shared, as it is behind a server that
/// has read all header lines into one.
#[derive(Clone, Debug)]
pub struct Ask {
    pub work: Work,
    pub cookies: Option<Bytes>,
}

impl Ask {
    pub fn new(work: Work, cookie: Option<&Bytes>) -> Self {
        let cookies = cookie.cloned();
        Self { work, cookies }
    }

    /// With the cookies of a usual site before and after that of the session.
    pub(crate) fn among_others(work: Work, cookie: &Bytes) -> Self {
        let cookie = String::from_utf8_lossy(cookie);
        let line = format!("{BEFORE}; {cookie}; {AFTER}");
        Self::new(work, Some(&Bytes::from(line)))
    }
}

const BEFORE: &str = "_ga=GA1.2.1234567890.1730000000; _gid=GA1.2.987654321.1730000001; \
                      theme=dark; lang=en-GB";
const AFTER: &str = "consent=necessary.statistics; _fbp=fb.1.1730000002000.1122334455; \
                     cart_hint=3; ab=checkout-b";

/// The name of the size of a session.
pub fn size_name(size: Size) -> &'static str {
    match size {
        Size::Small => "10 keys, 256 B",
        Size::Large => "100 keys, 16 KiB",
    }
}
