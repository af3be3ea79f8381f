//! Where the disk can fail, so that a test can make it.

/// A step of a write, in the order in which they are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    Create,
    Write,
    SyncFile,
    Rename,
    /// The rename has been made, and is reported as failed all the same.
    Renamed,
    Remove,
    /// The removal has been made, and is reported as failed all the same.
    Removed,
    OpenDirectory,
    SyncDirectory,
}

/// Outside tests there is nothing in it.
#[derive(Default)]
pub(super) struct Faults {
    #[cfg(test)]
    plan: std::sync::Mutex<Plan>,
}

impl Faults {
    #[cfg(not(test))]
    #[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "as in tests")]
    pub(super) fn check(&self, _: Step) -> std::io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn check(&self, step: Step) -> std::io::Result<()> {
        let mut plan = crate::lock(&self.plan);
        plan.taken.push(step);
        match plan.next.take_if(|next| *next == step) {
            Some(step) => Err(std::io::Error::other(format!("{step:?} was made to fail"))),
            None => Ok(()),
        }
    }

    /// Makes the next time this step is taken fail.
    #[cfg(test)]
    pub(super) fn fail(&self, step: Step) {
        crate::lock(&self.plan).next = Some(step);
    }

    /// The steps taken since this was asked last.
    #[cfg(test)]
    pub(super) fn taken(&self) -> Vec<Step> {
        std::mem::take(&mut crate::lock(&self.plan).taken)
    }
}

#[cfg(test)]
#[derive(Default)]
struct Plan {
    next: Option<Step>,
    taken: Vec<Step>,
}
