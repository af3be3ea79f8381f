//! Counters and histograms through the `metrics` facade.

use obsession_core::{DropReason, Effect, EndReason, Event, Events};

/// Counts what happens to sessions, through the recorder that the application has installed for the
/// [`metrics`](https://docs.rs/metrics) facade. Give it to
/// [`SessionManagerBuilder::events`](obsession_core::SessionManagerBuilder::events).
///
/// | name | kind | labels |
/// |---|---|---|
/// | `obsession_events_total` | counter | `event`: `created`, `signed_in`, `cycled`, `expired`, `unknown`, `malformed`, `duplicate`, `corrupt`, `marked` |
/// | `obsession_ended_total` | counter | `why`: `deleted`, `revoked`, `all` |
/// | `obsession_reuse_total` | counter | `recent`: `true`, `false` |
/// | `obsession_dropped_total` | counter | `why`: `ended`, `replaced`, `refused`, `handler_failed`, `store_failed`, `in_doubt`, `head_sent` |
/// | `obsession_removed_total` | counter | none: records that a cleanup removed |
/// | `obsession_store_seconds` | histogram, in seconds | `call`: the method's name; `outcome`: `ok`, `not_applied`, `unknown` |
///
/// No label is a key, a token, a subject or a value, so the number of series is bounded. Where no
/// recorder is installed, an event costs one look for it.
///
/// ```
/// use obsession_core::{MemoryStore, SessionManager};
/// use obsession_hyper::Metrics;
///
/// let manager = SessionManager::builder(MemoryStore::new()).events(Metrics).build();
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Metrics;

impl Events for Metrics {
    fn tell(&self, event: &Event) {
        match event {
            Event::Ended { why, .. } => count("obsession_ended_total", "why", end_reason(*why), 1),
            Event::AllEnded { count: ended, .. } => {
                count("obsession_ended_total", "why", "all", as_u64(*ended));
            }
            Event::Reuse { recent, .. } => {
                let recent = if *recent { "true" } else { "false" };
                count("obsession_reuse_total", "recent", recent, 1);
            }
            Event::Dropped { why, .. } => {
                count("obsession_dropped_total", "why", drop_reason(*why), 1);
            }
            Event::Removed { count } => {
                metrics::counter!("obsession_removed_total").increment(as_u64(*count));
            }
            Event::Answered { call, took, failed } => {
                let outcome = match failed {
                    None => "ok",
                    Some(Effect::NotApplied) => "not_applied",
                    Some(Effect::Unknown) => "unknown",
                };
                let call = call.as_str();
                metrics::histogram!("obsession_store_seconds", "call" => call, "outcome" => outcome)
                    .record(took.as_secs_f64());
            }
            event => {
                if let Some(name) = name(event) {
                    count("obsession_events_total", "event", name, 1);
                }
            }
        }
    }
}

fn count(counter: &'static str, label: &'static str, value: &'static str, by: u64) {
    metrics::counter!(counter, label => value).increment(by);
}

/// The label of an event that has nothing more to say.
fn name(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::Created { .. } => "created",
        Event::SignedIn { .. } => "signed_in",
        Event::Cycled { .. } => "cycled",
        Event::Expired { .. } => "expired",
        Event::Unknown { .. } => "unknown",
        Event::Malformed => "malformed",
        Event::Duplicate => "duplicate",
        Event::Corrupt { .. } => "corrupt",
        Event::Marked { .. } => "marked",
        _ => return None,
    })
}

fn end_reason(why: EndReason) -> &'static str {
    match why {
        EndReason::Deleted => "deleted",
        EndReason::Revoked => "revoked",
        _ => "other",
    }
}

fn drop_reason(why: DropReason) -> &'static str {
    match why {
        DropReason::Ended => "ended",
        DropReason::Replaced => "replaced",
        DropReason::Refused => "refused",
        DropReason::HandlerFailed => "handler_failed",
        DropReason::StoreFailed => "store_failed",
        DropReason::InDoubt => "in_doubt",
        DropReason::HeadSent => "head_sent",
        _ => "other",
    }
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
