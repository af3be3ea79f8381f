//! Rounds of one library, on a store of its own each.

use std::time::{Duration, Instant};

use bytes::Bytes;
use work::{Chance, Outcome, Size};

use crate::libraries::Library;
use crate::request::{Ask, Work, Workload};
use crate::server::{Contestant, Meter};
use crate::verify::make;

/// How many requests are made before the time is taken again.
const BATCH: usize = 64;
/// What nobody has warmed up yet.
const WARM_UP: usize = 4;

/// The sessions that are there, and how many a round may add.
fn sessions(size: Size) -> (usize, usize) {
    match size {
        Size::Small => (1_000, 20_000),
        Size::Large => (200, 2_000),
    }
}

/// Nanoseconds of a request: the mean of about so much time.
pub async fn round(
    library: Library,
    size: Size,
    workload: Workload,
    time: Duration,
) -> Outcome<f64> {
    let mut clients = Clients::new(library, size).await?;
    let (_, most) = sessions(size);
    let mut took = Duration::ZERO;
    let mut requests = 0_u32;
    for _ in 0..WARM_UP {
        clients.batch(workload, None).await?;
    }
    let began = Instant::now();
    while began.elapsed() < time {
        took += clients.batch(workload, None).await?.0;
        requests += u32::try_from(BATCH)?;
        if workload.work.makes() && usize::try_from(requests)? >= most {
            break;
        }
    }
    Ok(took.as_secs_f64() * 1e9 / f64::from(requests))
}

/// The allocations of a request by this meter: the median of many.
pub async fn allocations(
    library: Library,
    size: Size,
    workload: Workload,
    meter: Meter,
) -> Outcome<usize> {
    let mut clients = Clients::new(library, size).await?;
    for _ in 0..WARM_UP {
        clients.batch(workload, None).await?;
    }
    let mut counts = Vec::new();
    for _ in 0..16 {
        counts.extend(clients.batch(workload, Some(meter)).await?.1);
    }
    counts.sort_unstable();
    Ok(counts[counts.len() / 2])
}

struct Clients {
    contestant: Box<dyn Contestant>,
    cookies: Vec<Bytes>,
    next: usize,
}

impl Clients {
    async fn new(library: Library, size: Size) -> Outcome<Self> {
        let mut contestant = library.start(size).await?;
        let mut cookies = Vec::new();
        for _ in 0..sessions(size).0 {
            cookies.push(if library == library.bare() {
                Bytes::from_static(b"id=0123456789012345678901234567890123456789")
            } else {
                make(contestant.as_mut()).await?
            });
        }
        Chance::new().shuffle(&mut cookies);
        Ok(Self {
            contestant,
            cookies,
            next: 0,
        })
    }

    /// Requests of one client after the other, and what was metered.
    async fn batch(
        &mut self,
        workload: Workload,
        meter: Option<Meter>,
    ) -> Outcome<(Duration, Vec<usize>)> {
        let Workload { work, .. } = workload;
        let places: Vec<_> = (self.next..self.next + BATCH)
            .map(|n| n % self.cookies.len())
            .collect();
        self.next += BATCH;
        let ask = |place: &usize| match &self.cookies[*place] {
            _ if work.makes() => Ask::new(work, None),
            cookie if workload.other_cookies => Ask::among_others(work, cookie),
            cookie => Ask::new(work, Some(cookie)),
        };
        let asks: Vec<_> = places.iter().map(ask).collect();
        let run = self.contestant.run(&asks, meter).await?;
        if work == Work::SignIn {
            for (place, cookie) in places.into_iter().zip(run.cookies) {
                // Without sessions there is no news.
                if let Some(cookie) = cookie {
                    self.cookies[place] = cookie;
                }
            }
        }
        Ok((run.took, run.metered))
    }
}
