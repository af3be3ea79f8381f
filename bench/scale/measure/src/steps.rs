//! The steps of a measurement, and what must hold after each.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::fill::{Ids, fill};
use crate::saves::{Saver, millis};
use crate::{Cleanup, Library, Outcome, Place, Plan, Row, SelfExpiry};

/// How often the store is opened again.
const STARTS: usize = 5;
/// How many passes of cleanup follow that have nothing to do.
const IDLE: usize = 5;
/// How long a store is waited for that expires its sessions itself. Redis may leave up to a tenth for long.
const PATIENCE: Duration = Duration::from_secs(15);

/// All steps.
///
/// # Errors
///
/// Something failed, or a session was there that should not have been, or the other way round.
pub async fn measure(
    store: &str,
    library: &str,
    mut place: impl Place,
    plan: Plan,
) -> Outcome<Row> {
    let tell = |what: &str| eprintln!("{store}, {library}: {what}");
    tell("making the sessions");
    let mut side = place.open(&plan).await?;
    let (ids, fill) = fill(&side, &plan).await?;
    let before = expect(&mut place, plan.sessions).await?;
    check(&side, &ids.live, true).await?;
    drop(side);
    let again = place.close().await?;
    tell("measuring their size");
    let bytes = place.bytes(ids.bytes()).await?;
    let mut start_ms = Vec::new();
    side = place.open(&plan).await?;
    if again {
        tell("opening the store");
        for n in 0..STARTS {
            drop(side);
            place.close().await?;
            let began = Instant::now();
            side = place.open(&plan).await?;
            let id = ids.live.get(n * 31).ok_or("too few sessions")?;
            let found = side.has(id).await?;
            start_ms.push(millis(began.elapsed()));
            if !found {
                return Err("the first load after a start found nothing".into());
            }
        }
    }
    tell("saves, with nothing to clean up");
    let saver = Saver::start(&side, &ids.live);
    tokio::time::sleep(plan.baseline).await;
    let baseline = saver.end().await?;
    let self_expiry = if place.expires_itself() {
        tell("waiting until the store has removed what has expired");
        Some(wait(&mut place, &side, &ids, &plan).await?)
    } else {
        side.expire().await?;
        None
    };
    check(&side, &ids.dying, false).await?;
    tell("cleaning up");
    let cleanup = clean(&side, &ids, &plan).await?;
    let after = if cleanup.is_some() {
        expect(&mut place, plan.sessions - plan.dying()).await?
    } else {
        place.held().await?
    };
    check(&side, &ids.live, true).await?;
    check(&side, &ids.dying, false).await?;
    drop(side);
    place.close().await?;
    Ok(Row {
        store: store.to_owned(),
        library: library.to_owned(),
        sessions: plan.sessions,
        dying: plan.dying(),
        fill,
        bytes,
        bytes_after: place.bytes(ids.bytes()).await?,
        start_ms: spread(start_ms),
        baseline,
        self_expiry,
        cleanup,
        held: [before, after],
        note: place.note().await?,
    })
}

/// The store keeps so many sessions, as far as it can say.
async fn expect(place: &mut impl Place, sessions: usize) -> Outcome<Option<usize>> {
    let held = place.held().await?;
    match held {
        Some(held) if held != sessions => {
            Err(format!("{held} sessions are kept, and not {sessions}").into())
        }
        held => Ok(held),
    }
}

/// A sample of sessions is there, or is not.
async fn check(side: &Arc<dyn Library>, ids: &[String], there: bool) -> Outcome<()> {
    let step = (ids.len() / 200).max(1);
    if ids.is_empty() {
        return Err("no session to look at".into());
    }
    for id in ids.iter().step_by(step) {
        if side.has(id).await? != there {
            let is = if there { "is gone" } else { "is still there" };
            return Err(format!("a session {is}").into());
        }
    }
    Ok(())
}

async fn wait(
    place: &mut impl Place,
    side: &Arc<dyn Library>,
    ids: &Ids,
    plan: &Plan,
) -> Outcome<SelfExpiry> {
    let saver = Saver::start(side, &ids.live);
    side.expire().await?;
    let began = Instant::now();
    let mut left = plan.dying();
    while left > 0 && began.elapsed() < PATIENCE {
        let held = place.held().await?.ok_or("the store does not say it")?;
        let live = plan.sessions - plan.dying();
        left = held.checked_sub(live).ok_or("a live session is gone")?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(SelfExpiry {
        seconds: began.elapsed().as_secs_f64(),
        left,
        saves: saver.end().await?,
    })
}

async fn clean(side: &Arc<dyn Library>, ids: &Ids, plan: &Plan) -> Outcome<Option<Cleanup>> {
    let saver = Saver::start(side, &ids.live);
    let began = Instant::now();
    let batches = side.clean().await?;
    let seconds = began.elapsed().as_secs_f64();
    let saves = saver.end().await?;
    let Some(batches) = batches else {
        return Ok(None);
    };
    let removed: Option<usize> = batches.iter().map(|(_, removed)| *removed).sum();
    if removed.is_some_and(|removed| removed != plan.dying()) {
        return Err(format!("{removed:?} were removed, and not {}", plan.dying()).into());
    }
    let mut idle = Vec::new();
    for _ in 0..=IDLE {
        let began = Instant::now();
        let batches = side.clean().await?.unwrap_or_default();
        idle.push(millis(began.elapsed()));
        if batches.iter().any(|(_, removed)| removed.unwrap_or(0) > 0) {
            return Err("a second pass has removed something".into());
        }
    }
    let second_pass_ms = idle.remove(0);
    let times = batches.iter().map(|(time, _)| millis(*time)).collect();
    let [_, median, longest] = spread(times).ok_or("no batch")?;
    Ok(Some(Cleanup {
        seconds,
        removed,
        batches: batches.len(),
        longest_batch_ms: longest,
        median_batch_ms: median,
        second_pass_ms,
        idle_pass_ms: spread(idle).ok_or("no pass")?[1],
        saves,
    }))
}

/// The least, the median and the most.
fn spread(mut figures: Vec<f64>) -> Option<[f64; 3]> {
    figures.sort_unstable_by(f64::total_cmp);
    let middle = *figures.get(figures.len() / 2)?;
    Some([*figures.first()?, middle, *figures.last()?])
}
