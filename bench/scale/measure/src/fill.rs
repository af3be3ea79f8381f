//! Making the sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::{Fill, Library, Outcome};

/// How many clients make sessions at once.
const TASKS: usize = 64;
/// How many ids of those that live are kept, to load and to save them.
const KEPT: usize = 10_000;
/// How many steps there are of different lifetimes.
const STEPS: u32 = 512;
/// The first deadline of those that live, and how far the last is behind it.
const LIVE: Duration = Duration::from_secs(14 * 24 * 3600);

/// How many sessions there are to be, and which of them are to expire.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub sessions: usize,
    /// For how long the first saves are measured.
    pub baseline: Duration,
    /// Whether those that are to expire are made last, with short lives by the real clock. Else they are
    /// every tenth, and expire when the clock is moved, or have been expired when they were made.
    pub real: bool,
    /// Whether obsession's values are postcard, and not JSON.
    pub postcard: bool,
}

impl Plan {
    /// What [`arguments`](Self::arguments) has made.
    pub fn from_arguments(mut words: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut word = || words.next().ok_or("a plan has four words");
        Ok(Self {
            sessions: word()?.parse()?,
            baseline: Duration::from_secs_f64(word()?.parse()?),
            real: word()?.parse()?,
            postcard: word()?.parse()?,
        })
    }

    /// The plan for the program that carries it out.
    pub fn arguments(&self) -> [String; 4] {
        [
            self.sessions.to_string(),
            self.baseline.as_secs_f64().to_string(),
            self.real.to_string(),
            self.postcard.to_string(),
        ]
    }

    /// A tenth of the sessions is to expire.
    pub fn dying(&self) -> usize {
        self.sessions / 10
    }

    pub(crate) fn dies(&self, n: usize) -> bool {
        if self.real {
            n >= self.sessions - self.dying()
        } else {
            n % 10 == 9
        }
    }

    /// How long the `n`th session lives. Deadlines are spread, as they are where people come and go.
    pub fn lifetime(&self, n: usize, dies: bool) -> Duration {
        let step = u32::try_from(n % STEPS as usize).unwrap_or_default();
        match (dies, self.real) {
            (false, _) => LIVE + LIVE / STEPS * step,
            (true, true) => self.short() + Duration::from_secs(2) / STEPS * step,
            (true, false) => Duration::from_secs(3600) + Duration::from_secs(3600) / STEPS * step,
        }
    }

    /// After that, all have expired that are to.
    pub(crate) fn over(&self) -> Duration {
        if self.real {
            self.short() + Duration::from_secs(3)
        } else {
            Duration::from_secs(3 * 3600)
        }
    }

    /// Long enough for all of them to be made and measured.
    fn short(&self) -> Duration {
        let made = self.dying() as f64 / 2000.0;
        Duration::from_secs(20) + self.baseline + Duration::from_secs_f64(made)
    }
}

/// Ids to look at later.
#[derive(Default)]
pub(crate) struct Ids {
    pub(crate) live: Vec<String>,
    pub(crate) dying: Vec<String>,
}

impl Ids {
    /// How much memory they take.
    pub(crate) fn bytes(&self) -> usize {
        let of = |ids: &Vec<String>| {
            ids.capacity() * size_of::<String>() + ids.iter().map(String::capacity).sum::<usize>()
        };
        of(&self.live) + of(&self.dying)
    }
}

pub(crate) async fn fill(library: &Arc<dyn Library>, plan: &Plan) -> Outcome<(Ids, Fill)> {
    let began = Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..TASKS)
        .map(|_| {
            let client = client(Arc::clone(library), *plan, Arc::clone(&next), began);
            tokio::spawn(client)
        })
        .collect();
    let mut ids = Ids::default();
    for client in clients {
        let part = client.await??;
        ids.live.extend(part.live);
        ids.dying.extend(part.dying);
    }
    let seconds = began.elapsed().as_secs_f64();
    let fill = Fill {
        seconds,
        rate: plan.sessions as f64 / seconds,
        tasks: TASKS,
    };
    Ok((ids, fill))
}

async fn client(
    library: Arc<dyn Library>,
    plan: Plan,
    next: Arc<AtomicUsize>,
    began: Instant,
) -> Outcome<Ids> {
    let values = work::Size::Small.values();
    let keep = plan.sessions.div_ceil(KEPT);
    let mut ids = Ids::default();
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= plan.sessions {
            return Ok(ids);
        }
        if n > 0 && n.is_multiple_of(100_000) {
            eprintln!("  {n} sessions after {:.1?}", began.elapsed());
        }
        let dies = plan.dies(n);
        let id = library.make(n, dies, &values).await?;
        // Of either kind, since the tenth of every ten may be the one that dies.
        if (n / 10).is_multiple_of(keep) {
            let ids = if dies { &mut ids.dying } else { &mut ids.live };
            ids.push(id);
        }
    }
}
