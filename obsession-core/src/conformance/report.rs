//! How the cases went, for people and for programs.

use std::fmt;
use std::time::Duration;

use super::case::Case;

/// How each case of the suite went. `Display` is a table.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Report {
    /// The cases in the order in which they ran.
    pub outcomes: Vec<Outcome>,
}

/// How one case went.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// Its name.
    pub case: &'static str,
    /// The name of the clause that it checks.
    pub clause: &'static str,
    /// What it looks at, in one sentence.
    pub sentence: &'static str,
    /// Whether the clause was kept.
    pub verdict: Verdict,
    /// How long it took.
    pub time: Duration,
}

/// Whether a clause was kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It was.
    Passed,
    /// It was not, and why.
    Failed(String),
    /// The case did not end in its time, and what it was doing.
    TimedOut(String),
    /// The case did not run, and why.
    NotChecked(&'static str),
}

impl Report {
    /// Whether every case that ran was passed, and at least one ran.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        let passed = |outcome: &Outcome| outcome.verdict == Verdict::Passed;
        let not_checked = |outcome: &Outcome| matches!(outcome.verdict, Verdict::NotChecked(_));
        self.outcomes.iter().any(passed)
            && self
                .outcomes
                .iter()
                .all(|outcome| passed(outcome) || not_checked(outcome))
    }

    /// The outcomes that are neither passed nor unchecked.
    pub fn failures(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes
            .iter()
            .filter(|outcome| matches!(outcome.verdict, Verdict::Failed(_) | Verdict::TimedOut(_)))
    }

    /// A JSON array of `{"case", "clause", "verdict", "detail", "seconds"}`, where `verdict` is
    /// `passed`, `failed`, `timed out` or `not checked`.
    #[must_use]
    pub fn to_json(&self) -> String {
        let outcome = |outcome: &Outcome| {
            serde_json::json!({
                "case": outcome.case,
                "clause": outcome.clause,
                "verdict": outcome.verdict.word(),
                "detail": outcome.verdict.detail(),
                "seconds": outcome.time.as_secs_f64(),
            })
        };
        let outcomes: serde_json::Value = self.outcomes.iter().map(outcome).collect();
        outcomes.to_string()
    }
}

impl Outcome {
    pub(crate) fn new<S>(case: &Case<S>, verdict: Verdict, time: Duration) -> Self {
        Self {
            case: case.name,
            clause: case.clause().map_or("", |clause| clause.name),
            sentence: case.sentence(),
            verdict,
            time,
        }
    }
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::TimedOut(_) => "timed out",
            Self::NotChecked(_) => "not checked",
        }
    }

    fn detail(&self) -> &str {
        match self {
            Self::Passed => "",
            Self::Failed(detail) | Self::TimedOut(detail) => detail,
            Self::NotChecked(reason) => reason,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Outcome {
            case,
            clause,
            verdict,
            time,
            ..
        } in &self.outcomes
        {
            let word = verdict.word();
            writeln!(
                f,
                "{word:11}  {clause:19}  {case:66}  {:7.3} s",
                time.as_secs_f64()
            )?;
        }
        let count = |word| {
            self.outcomes
                .iter()
                .filter(|o| o.verdict.word() == word)
                .count()
        };
        write!(
            f,
            "{} passed, {} failed, {} timed out, {} not checked",
            count("passed"),
            count("failed"),
            count("timed out"),
            count("not checked")
        )?;
        for failure in self.failures() {
            write!(f, "\n\n{}", failure.verdict.detail())?;
        }
        Ok(())
    }
}
