//! Running cases, and saying what went wrong.

use std::any::Any;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::case::{self, Case};
use super::fixture::{Ability, IntoSetup, Setup};
use super::recorded::{Calls, Recorded};
use super::report::{Outcome, Report, Verdict};
use super::time::Time;
use crate::{SessionIndex, SessionStore};

/// Runs every case that a [`SessionStore`] must pass, each on a store of its own from `make`, and
/// says how each went.
///
/// The cases that need more than a store run if the constructor gives it ([`Setup::reopen`],
/// [`Setup::outage`], [`Setup::neighbour`], [`Setup::peer`]), and those of a push if the store says that
/// it pushes; else they are [`Verdict::NotChecked`].
///
/// ```
/// use obsession_core::MemoryStore;
/// use obsession_core::conformance::{Time, run};
///
/// let report = run(async |time: Time| MemoryStore::builder().clock(time.clock()).build());
/// assert!(report.is_passed(), "{report}");
/// ```
pub fn run<M, F>(make: M) -> Report
where
    M: Fn(Time) -> F,
    F: Future<Output: IntoSetup>,
{
    let mut runs = Runs::new(&make);
    runs.all(&case::of_stores());
    runs.all_if(Ability::Reopen, &case::of_reopening());
    runs.all_if(Ability::Outage, &case::of_outages());
    runs.all_if(Ability::Neighbour, &case::of_neighbours());
    runs.all_if(Ability::Peer, &case::of_peers());
    runs.all_if(Ability::Push, &case::of_pushing());
    runs.report
}

/// As [`run`], for a [`SessionIndex`].
pub fn run_index<M, F>(make: M) -> Report
where
    M: Fn(Time) -> F,
    F: Future<Output: IntoSetup<Store: SessionIndex>>,
{
    let mut report = run(&make);
    let mut runs = Runs::new(&make);
    runs.all(&case::of_indexes());
    runs.all_if(Ability::Reopen, &case::of_reopening_indexes());
    runs.all_if(Ability::Outage, &case::of_index_outages());
    runs.all_if(Ability::Neighbour, &case::of_neighbouring_indexes());
    runs.all_if(Ability::Peer, &case::of_peering_indexes());
    runs.all_if(Ability::Push, &case::of_pushing_indexes());
    report.outcomes.append(&mut runs.report.outcomes);
    report
}

/// Why the cases that need this ability did not run.
fn missing(ability: Ability) -> &'static str {
    match ability {
        Ability::Reopen => "the constructor gives no `reopen`",
        Ability::Outage => "the constructor gives no `outage`",
        Ability::Neighbour => "the constructor gives no `neighbour`",
        Ability::Peer => "the constructor gives no `peer`",
        Ability::Push => "the store says that it pushes nothing",
    }
}

/// Runs the case of this name, and panics with an explanation if it fails. What `conformance!`
/// makes of each case.
#[doc(hidden)]
pub fn check<M, F>(make: M, name: &str)
where
    M: Fn(Time) -> F,
    F: Future<Output: IntoSetup>,
{
    let groups = [
        case::of_stores(),
        case::of_reopening(),
        case::of_outages(),
        case::of_neighbours(),
        case::of_peers(),
        case::of_pushing(),
    ];
    explain(
        &make,
        groups.into_iter().flatten().find(|case| case.name == name),
    );
}

/// As [`check`], for the cases of an index.
#[doc(hidden)]
pub fn check_index<M, F>(make: M, name: &str)
where
    M: Fn(Time) -> F,
    F: Future<Output: IntoSetup<Store: SessionIndex>>,
{
    let groups = [
        case::of_indexes(),
        case::of_reopening_indexes(),
        case::of_index_outages(),
        case::of_neighbouring_indexes(),
        case::of_peering_indexes(),
        case::of_pushing_indexes(),
    ];
    explain(
        &make,
        groups.into_iter().flatten().find(|case| case.name == name),
    );
}

/// Panics unless the suite has a case of each name.
#[doc(hidden)]
pub fn names_cases(names: &[&str]) {
    let cases = case::names();
    for name in names {
        assert!(cases.contains(name), "the suite has no case {name:?}");
    }
}

fn explain<M, F, S>(make: &M, case: Option<Case<Recorded<S>>>)
where
    M: Fn(Time) -> F,
    F: Future<Output: IntoSetup<Store = S>>,
    S: SessionStore,
{
    let case = case.expect("a case of the suite");
    match run_case(make, &case).verdict {
        Verdict::Passed => {}
        Verdict::Failed(explanation) | Verdict::TimedOut(explanation) => panic!("{explanation}"),
        Verdict::NotChecked(reason) => panic!("not checked: {reason}"),
    }
}

struct Runs<'a, M> {
    make: &'a M,
    abilities: Vec<Ability>,
    report: Report,
}

impl<'a, M, F> Runs<'a, M>
where
    M: Fn(Time) -> F,
    F: Future<Output: IntoSetup>,
{
    fn new(make: &'a M) -> Self {
        let every = [
            Ability::Reopen,
            Ability::Outage,
            Ability::Neighbour,
            Ability::Peer,
            Ability::Push,
        ];
        let abilities = runtime().block_on(async {
            let setup: Setup<_> = make(Time::new(Calls::default())).await.into_setup();
            let mut abilities = Vec::new();
            for ability in every {
                if setup.can(ability).await {
                    abilities.push(ability);
                }
            }
            abilities
        });
        Self {
            make,
            abilities,
            report: Report::default(),
        }
    }

    fn all(&mut self, cases: &[Case<Recorded<<F::Output as IntoSetup>::Store>>]) {
        let outcomes = cases.iter().map(|case| run_case(self.make, case));
        self.report.outcomes.extend(outcomes);
    }

    fn all_if(
        &mut self,
        needed: Ability,
        cases: &[Case<Recorded<<F::Output as IntoSetup>::Store>>],
    ) {
        if self.abilities.contains(&needed) {
            return self.all(cases);
        }
        let outcomes = cases
            .iter()
            .map(|case| Outcome::new(case, Verdict::NotChecked(missing(needed)), Duration::ZERO));
        self.report.outcomes.extend(outcomes);
    }
}

fn run_case<M, F, S>(make: &M, case: &Case<Recorded<S>>) -> Outcome
where
    M: Fn(Time) -> F,
    F: Future<Output: IntoSetup<Store = S>>,
    S: SessionStore,
{
    let calls = Calls::default();
    let start = Instant::now();
    let runtime = runtime();
    let time = Time::new(calls.clone());
    let making =
        AssertUnwindSafe(|| runtime.block_on(async { make(time.clone()).await.into_setup() }));
    let setup: Setup<S> = match catch_unwind(making) {
        Ok(setup) => setup,
        Err(panic) => {
            let said = format!("the constructor panicked: {}", message(&*panic));
            let verdict = Verdict::Failed(explanation(case, &calls, &said));
            return Outcome::new(case, verdict, start.elapsed());
        }
    };
    let limit = setup.limit();
    let running = runtime.spawn((case.run)(setup.into_fixture(time, &calls)));
    // Waited for outside the runtime: a store that blocks its threads stops the runtime's clock too.
    let (end, ended) = mpsc::channel();
    runtime.spawn(async move { end.send(running.await) });
    let ended = ended.recv_timeout(limit).map_err(|_| limit);
    // What a case has left behind does not hold the others up.
    runtime.shutdown_background();
    let verdict = match ended {
        Ok(Ok(())) => Verdict::Passed,
        Ok(Err(error)) => {
            let panic = error.try_into_panic();
            let said = panic.map_or_else(|error| error.to_string(), |panic| message(&*panic));
            Verdict::Failed(explanation(case, &calls, &said))
        }
        Err(limit) => {
            let said = format!("it did not end within {limit:?}");
            Verdict::TimedOut(explanation(case, &calls, &said))
        }
    };
    Outcome::new(case, verdict, start.elapsed())
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it panicked".to_owned())
}

/// What was promised, what was done, what came back, and where to read on.
fn explanation<S>(case: &Case<S>, calls: &Calls, said: &str) -> String {
    let mut text = format!("{} failed\n", case.name);
    let indented = |text: &str| text.replace('\n', "\n             ");
    if let Some(clause) = case.clause() {
        let _ = writeln!(text, "  promised   {}: {}", clause.name, clause.promise);
    }
    let _ = writeln!(text, "  the case   {}", case.sentence());
    for (n, call) in calls.lines().iter().enumerate() {
        let label = if n == 0 { "was done" } else { "" };
        let _ = writeln!(text, "  {label:10} {}", indented(call));
    }
    let _ = writeln!(text, "  came back  {}", indented(said));
    if let Some(clause) = case.clause() {
        let _ = writeln!(text, "  read on    {}", clause.read_on);
    }
    text
}
