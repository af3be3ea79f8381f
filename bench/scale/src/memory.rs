//! Sessions in memory.

use std::fs;
use std::sync::Arc;

use async_trait::async_trait;
use measure::{Bytes, Library, Ours, Outcome, Place, Plan, Time, Tower};
use obsession_core::MemoryStore;

/// What the allocator has given out and not got back.
fn allocated() -> usize {
    let stats = crate::ALLOCATOR.stats();
    stats.bytes_allocated.wrapping_sub(stats.bytes_deallocated)
}

/// What the system has given to this process and not got back.
fn resident() -> Outcome<usize> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.ok_or("no resident size")?.parse::<usize>()? * 1024)
}

/// A store in memory of either library.
pub(crate) struct Memory {
    library: &'static str,
    sessions: usize,
    ours: Option<MemoryStore>,
    theirs: Option<tower_sessions::MemoryStore>,
    time: Time,
    before: [usize; 2],
}

impl Memory {
    pub(crate) fn new(library: &'static str) -> Outcome<Self> {
        Ok(Self {
            library,
            sessions: 0,
            ours: None,
            theirs: None,
            time: Time::standing(),
            before: [allocated(), resident()?],
        })
    }
}

#[async_trait]
impl Place for Memory {
    async fn open(&mut self, plan: &Plan) -> Outcome<Arc<dyn Library>> {
        self.sessions = plan.sessions;
        if self.library == crate::OURS {
            let clock = self.time.clock();
            let make = || {
                let builder = MemoryStore::builder().capacity(plan.sessions + 1000);
                builder.clock(clock).build()
            };
            let store = self.ours.get_or_insert_with(make).clone();
            return Ok(Arc::new(Ours::new(store, self.time.clone(), plan)));
        }
        let store = self.theirs.get_or_insert_default().clone();
        Ok(Arc::new(Tower::new(store, plan)))
    }

    async fn close(&mut self) -> Outcome<bool> {
        Ok(false)
    }

    async fn bytes(&mut self, own: usize) -> Outcome<Vec<Bytes>> {
        let own = self.before.map(|before| before + own);
        let of =
            |what, now: usize, own| Bytes::of(what, now.saturating_sub(own) as f64, self.sessions);
        Ok(vec![
            of("allocated", allocated(), own[0]),
            of("growth of the resident size", resident()?, own[1]),
        ])
    }

    async fn held(&mut self) -> Outcome<Option<usize>> {
        Ok(self.ours.as_ref().map(MemoryStore::len))
    }

    async fn note(&mut self) -> Outcome<String> {
        Ok(if self.library == crate::OURS {
            "ends with the process: no start".to_owned()
        } else {
            "ends with the process: no start; it has no cleanup, never removes what has expired, and does not \
             say how many it keeps"
                .to_owned()
        })
    }
}
