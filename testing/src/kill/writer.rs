//! The child that writes until it is killed, and says each thing before and after it is done.
//!
//! | line | when |
//! |---|---|
//! | `ready` | the store is open |
//! | `put TOKEN N SUBJECT` | before a write that leaves this token, counter and subject (`-` is none) |
//! | `end KEY` | before a delete |
//! | `ok KEY` | after the last of these was acknowledged |

use std::fs;
use std::path::Path;

use obsession_core::{Session, SessionId, SessionManager};

use super::ledger::SURVIVORS;
use super::{Outcome, Victim};
use crate::Random;

const TASKS: usize = 4;
/// How many sessions a task has at once.
const SESSIONS: usize = 12;
const SUBJECTS: usize = 10;

struct Mine {
    id: SessionId,
    n: u64,
    subject: Option<String>,
}

/// Writes to the store at `path`, and says so, until this process is killed.
///
/// # Errors
///
/// The store failed, which it should not.
pub async fn write_until_killed<V: Victim>(path: &Path, seed: u64, early: bool) -> Outcome {
    // The output ends when the child does; a panic in a task must not go unnoticed.
    let mut survivors = read_survivors(&path.join(SURVIVORS))?;
    let manager = SessionManager::new(V::open(&path.join("store"), early).await?);
    println!("ready");
    let mut tasks = Vec::new();
    for n in 0..TASKS {
        let mine = survivors.split_off(survivors.len().saturating_sub(SESSIONS / 2));
        let random = Random::new(seed ^ (n as u64) << 32);
        tasks.push(tokio::spawn(write(manager.clone(), mine, random)));
    }
    for task in tasks {
        task.await??;
    }
    Ok(())
}

async fn write(manager: SessionManager, mut mine: Vec<Mine>, mut random: Random) -> Outcome {
    loop {
        let chance = random.below(100);
        if mine.is_empty() || (chance < 15 && mine.len() < SESSIONS) {
            let session = manager.open(None);
            session.insert("n", &1_u64)?;
            // Sometimes more than one entry of a tree holds.
            session.insert(
                "filler",
                &"x".repeat(random.below(if chance < 3 { 9000 } else { 300 })),
            )?;
            mine.push(save(&session, 1, None).await?);
            continue;
        }
        let at = random.below(mine.len());
        let Mine { id, n, subject } = mine.swap_remove(at);
        let session = manager.open(Some(id));
        if chance < 20 {
            let key = session.key().await?.ok_or("a session of ours is gone")?;
            println!("end {key}");
            session.delete().await?;
            println!("ok {key}");
            continue;
        }
        let mut subject = subject;
        match chance {
            20..40 => session.cycle()?,
            40..55 => {
                let name = format!("user-{}", random.below(SUBJECTS));
                session.sign_in(&name)?;
                subject = Some(name);
            }
            _ => {}
        }
        if session.contains("n").await? {
            session.update("n", |n: &mut u64| *n += 1).await?;
        } else {
            // Another user has signed in, and nothing is left of the one before.
            session.insert("n", &(n + 1))?;
        }
        mine.push(save(&session, n + 1, subject).await?);
    }
}

async fn save(session: &Session, n: u64, subject: Option<String>) -> Outcome<Mine> {
    let id = session.id().await?.ok_or("a session of ours is gone")?;
    println!(
        "put {} {n} {}",
        id.expose(),
        subject.as_deref().unwrap_or("-")
    );
    session.save().await?;
    println!("ok {}", id.key());
    Ok(Mine { id, n, subject })
}

/// Sessions that a child before this one has left, as the parent found them.
fn read_survivors(path: &Path) -> Outcome<Vec<Mine>> {
    let text = if path.exists() {
        fs::read_to_string(path)?
    } else {
        String::new()
    };
    let mut survivors = Vec::new();
    for line in text.lines() {
        if let [token, n, subject] = line.split(' ').collect::<Vec<_>>()[..] {
            survivors.push(Mine {
                id: token.parse()?,
                n: n.parse()?,
                subject: (subject != "-").then(|| subject.to_owned()),
            });
        }
    }
    Ok(survivors)
}
