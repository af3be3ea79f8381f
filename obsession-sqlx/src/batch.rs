//! What a worker takes from its queue at once, sorted into statements.

use obsession_core::SessionKey;
use tokio::sync::mpsc;

use crate::call::Ticket;
use crate::dialect::{Dialect, Look, Seen};
use crate::lane::{Alone, Job};
use crate::write::{Kind, Outcome, Write};

/// How much the writes of a batch send, in bytes, before it is full.
const BYTES: usize = 1 << 20;

/// Everything that was waiting, up to the bounds.
pub(crate) struct Batch<D: Dialect> {
    pub(crate) loads: Vec<Loads>,
    pub(crate) groups: Vec<Group>,
    pub(crate) alone: Vec<Box<dyn Alone<D>>>,
    /// Whether the lane is to take no more.
    pub(crate) closing: bool,
}

/// Loads of one statement.
pub(crate) struct Loads {
    pub(crate) look: Look,
    pub(crate) calls: Vec<(SessionKey, Ticket<Option<Seen>>)>,
}

/// Writes of one statement: of one kind, and of different keys.
///
/// Two writes of one key have to see each other, and what a database makes of two in one statement
/// differs.
pub(crate) struct Group {
    pub(crate) kind: Kind,
    pub(crate) calls: Vec<(Write, Ticket<Outcome>)>,
}

impl<D: Dialect> Batch<D> {
    /// Takes `first` and what else is there. Nothing is waited for.
    pub(crate) fn take(first: Job<D>, inbox: &mut mpsc::Receiver<Job<D>>) -> Self {
        let mut batch = Self {
            loads: Vec::new(),
            groups: Vec::new(),
            alone: Vec::new(),
            closing: false,
        };
        let (mut rows, mut bytes, mut next) = (0, 0, Some(first));
        while let Some(job) = next {
            if let Job::Write(write, _) = &job {
                bytes += write.bytes();
            }
            rows += 1;
            batch.add(job);
            if rows == D::ROWS || bytes >= BYTES || batch.closing {
                break;
            }
            next = inbox.try_recv().ok();
        }
        batch
    }

    fn add(&mut self, job: Job<D>) {
        match job {
            Job::Load(key, look, ticket) => {
                let calls = &mut self.loads;
                match calls.iter_mut().find(|loads| loads.look == look) {
                    Some(loads) => loads.calls.push((key, ticket)),
                    None => calls.push(Loads {
                        look,
                        calls: vec![(key, ticket)],
                    }),
                }
            }
            Job::Write(write, ticket) => {
                let fits = |group: &&mut Group| {
                    let mut keys = group.calls.iter().map(|(write, _)| write.key());
                    group.kind == write.kind() && keys.all(|key| key != write.key())
                };
                match self.groups.iter_mut().find(fits) {
                    Some(group) => group.calls.push((write, ticket)),
                    None => self.groups.push(Group {
                        kind: write.kind(),
                        calls: vec![(write, ticket)],
                    }),
                }
            }
            Job::Alone(alone) => self.alone.push(alone),
            Job::Close => self.closing = true,
        }
    }
}
