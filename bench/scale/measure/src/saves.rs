//! One client who reads and writes sessions all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::{Library, Outcome, Saves};

/// No value is written twice: what has not changed is not written by everybody.
static NEXT: AtomicU64 = AtomicU64::new(1);

pub(crate) struct Saver {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Outcome<Vec<Duration>>>,
}

impl Saver {
    /// Begins. Sessions come in an order that has nothing to do with that in which they were made.
    pub(crate) fn start(library: &Arc<dyn Library>, ids: &[String]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (library, ids, told) = (Arc::clone(library), ids.to_vec(), Arc::clone(&stop));
        let task = tokio::spawn(async move {
            let mut times = Vec::new();
            let mut at = 0;
            while !told.load(Ordering::Relaxed) || times.is_empty() {
                // A prime, so that all have their turn.
                at = (at + 7919) % ids.len();
                let value = format!("{:016x}", NEXT.fetch_add(1, Ordering::Relaxed));
                let began = Instant::now();
                library.save(&ids[at], &value).await?;
                times.push(began.elapsed());
                // A store that answers at once never gives the thread back otherwise.
                tokio::task::yield_now().await;
            }
            Ok(times)
        });
        Self { stop, task }
    }

    pub(crate) async fn end(self) -> Outcome<Saves> {
        self.stop.store(true, Ordering::Relaxed);
        let mut times = self.task.await??;
        times.sort_unstable();
        let at = |percent: usize| millis(times[(times.len() - 1) * percent / 100]);
        Ok(Saves {
            count: times.len(),
            p50_ms: at(50),
            p99_ms: at(99),
            max_ms: at(100),
        })
    }
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
