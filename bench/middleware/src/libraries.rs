//! Who is measured.

use tower::service_fn;
use work::{Outcome, Size};

use crate::peers::{actix, async_session, axum_session, least, ours, tower_sessions};
use crate::server::{Contestant, Http};
use crate::site::Site;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Library {
    Bare,
    Obsession,
    Tower14,
    Tower15,
    AxumSession,
    AsyncSession,
    /// What none can do without.
    Least,
    BareActix,
    ActixSession,
}

impl Library {
    pub const ALL: [Self; 9] = [
        Self::Bare,
        Self::Obsession,
        Self::Tower14,
        Self::Tower15,
        Self::AxumSession,
        Self::AsyncSession,
        Self::Least,
        Self::BareActix,
        Self::ActixSession,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Obsession => "obsession",
            Self::Tower14 => "tower-sessions 0.14",
            Self::Tower15 => "tower-sessions 0.15",
            Self::AxumSession => "axum_session 0.22",
            Self::AsyncSession => "async-session 3",
            Self::Least => "the least",
            Self::BareActix => "bare actix",
            Self::ActixSession => "actix-session 0.11",
        }
    }

    pub fn named(name: &str) -> Outcome<Self> {
        let found = Self::ALL.into_iter().find(|library| library.name() == name);
        Ok(found.ok_or_else(|| format!("there is no library {name}"))?)
    }

    /// The same without sessions.
    pub fn bare(self) -> Self {
        match self {
            Self::BareActix | Self::ActixSession => Self::BareActix,
            _ => Self::Bare,
        }
    }

    /// Itself, on a store of its own, with nothing in it.
    pub async fn start(self, size: Size) -> Outcome<Box<dyn Contestant>> {
        let site = Site::new(size);
        Ok(match self {
            Self::Bare => http(service_fn(ours::bare), ""),
            Self::Obsession => http(ours::service(site), ours::COOKIE),
            Self::Tower14 => http(tower_sessions::v14::service(site), tower_sessions::COOKIE),
            Self::Tower15 => http(tower_sessions::v15::service(site), tower_sessions::COOKIE),
            Self::AxumSession => http(axum_session::service(site).await?, axum_session::COOKIE),
            Self::AsyncSession => http(async_session::service(site), async_session::COOKIE),
            Self::Least => http(least::service(site), least::COOKIE),
            Self::BareActix => actix::bare().await,
            Self::ActixSession => actix::application(site).await,
        })
    }
}

fn http<S>(service: S, cookie: &'static str) -> Box<dyn Contestant>
where
    Http<S>: Contestant + 'static,
{
    Box::new(Http { service, cookie })
}
