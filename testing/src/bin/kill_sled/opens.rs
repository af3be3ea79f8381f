//! Kills while it opens.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use obsession_core::{Create, Record, Revision, SessionIndex, SessionKey, SessionStore, Timestamp};
use obsession_sled::SledStore;
use testing::{Child, Random};

use crate::{Options, Outcome};

const RECORDS: u64 = 10_000;
/// How many kills a copy of the database takes at most before it is looked at.
const KILLS_EACH: usize = 3;

#[derive(Default)]
struct Totals {
    kills: u64,
    late: u64,
    unfinished: u64,
    creations: u64,
    databases: u64,
    unopenable: u64,
    incomplete: u64,
}

/// The child: opens, says so, and waits to be killed.
pub(crate) async fn opener(path: &Path) -> Outcome {
    println!("opening");
    let store = SledStore::open(path).await?;
    println!("open");
    store.close().await?;
    Ok(())
}

/// How many databases opened with everything in them, and how many did not.
pub(crate) async fn run(options: &Options) -> Outcome<(u64, u64)> {
    if options.opens == 0 {
        return Ok((0, 0));
    }
    let mut random = Random::new(options.kills.seed ^ 0x6f70_656e);
    let mut totals = Totals::default();
    let folder = tempfile::tempdir()?;
    let model = folder.path().join("model");
    let expected = make(&model).await?;
    let copy = folder.path().join("copy");
    let time = time_of_open(&model, &copy)?;
    eprintln!(
        "opening a database of {RECORDS} records takes {} ms",
        time.as_millis()
    );
    let start = Instant::now();
    while totals.kills < options.opens {
        duplicate(&model, &copy)?;
        for _ in 0..=random.below(KILLS_EACH) {
            // Half of the kills come at any instant, the others while a snapshot is written.
            if random.below(2) == 0 {
                totals.kill(&copy, || {
                    thread::sleep(random.between(Duration::ZERO, time));
                })?;
            } else {
                totals.kill(&copy, || wait_for_snapshot(&copy, time))?;
                cut_snapshot(&copy, &mut random)?;
            }
        }
        totals.look(&copy, &expected).await?;
        if totals.databases % 20 == 0 {
            let time = start.elapsed().as_secs();
            eprintln!("{} kills in {time} s: {}", totals.kills, totals.line());
        }
    }
    // A tenth as often while there is nothing yet.
    let time = time_of_creation(&copy)?;
    while totals.creations < options.opens.div_ceil(10) {
        clear(&copy)?;
        let before = totals.kills;
        totals.kill(&copy, || {
            thread::sleep(random.between(Duration::ZERO, time));
        })?;
        totals.creations += totals.kills - before;
        totals.kills = before;
        totals.look(&copy, &BTreeMap::new()).await?;
    }
    println!("opens: {}", totals.line());
    let failed = totals.unopenable + totals.incomplete;
    Ok((totals.databases - failed, failed))
}

impl Totals {
    /// Starts a child that opens, and kills it after `wait`.
    fn kill(&mut self, path: &Path, wait: impl FnOnce()) -> Outcome {
        let child = Child::start("opener", path, &[])?;
        // Nothing but this line is printed before it opens.
        let opening = child.line().is_some();
        wait();
        let open = child.kill()?.iter().any(|line| line == "open");
        if opening && !open {
            self.kills += 1;
        } else {
            self.late += 1;
        }
        self.unfinished += u64::from(unfinished_snapshot(path).is_some());
        Ok(())
    }

    async fn look(&mut self, path: &Path, expected: &BTreeMap<SessionKey, Revision>) -> Outcome {
        self.databases += 1;
        let store = match SledStore::open(path).await {
            Ok(store) => store,
            Err(error) => {
                eprintln!("{error}: {:?}", std::error::Error::source(&error));
                self.unopenable += 1;
                return Ok(());
            }
        };
        let records = store.scan(None, usize::MAX).await?;
        let there: BTreeMap<_, _> = records.iter().map(|r| (r.key, r.revision)).collect();
        self.incomplete += u64::from(there != *expected || records.len() != expected.len());
        store.close().await?;
        Ok(())
    }

    fn line(&self) -> String {
        format!(
            "killed during open: {}, during creation: {}, too late: {}, unfinished snapshots: {}, \
             databases checked: {}, unopenable: {}, incomplete: {}",
            self.kills,
            self.creations,
            self.late,
            self.unfinished,
            self.databases,
            self.unopenable,
            self.incomplete,
        )
    }
}

/// A database whose log is ahead of its snapshot, so that opening it has something to do: it is
/// copied while it is open, as a kill would leave it.
async fn make(path: &Path) -> Outcome<BTreeMap<SessionKey, Revision>> {
    let live = path.with_extension("live");
    let store = SledStore::open(&live).await?;
    let mut expected = BTreeMap::new();
    let mut tasks = Vec::new();
    for task in 0..64 {
        let records: Vec<_> = (task..RECORDS).step_by(64).map(record).collect();
        expected.extend(records.iter().map(|r| (r.key, r.revision)));
        let store = store.clone();
        tasks.push(tokio::spawn(async move {
            for record in records {
                if store.create(&record).await? != Create::Created {
                    return Err("a key of ours is taken".into());
                }
            }
            Outcome::Ok(())
        }));
    }
    for task in tasks {
        task.await??;
    }
    duplicate(&live, path)?;
    store.close().await?;
    Ok(expected)
}

fn record(n: u64) -> Record {
    let scattered = Random::new(n).next();
    let key: SessionKey = match format!("{scattered:016x}").parse() {
        Ok(key) => key,
        Err(error) => unreachable!("16 digits: {error}"),
    };
    Record {
        key,
        revision: Revision::from_u64(n),
        subject: n
            .is_multiple_of(2)
            .then(|| format!("user-{}", n % 100).into()),
        created_at: Timestamp::from_millis(0),
        expires_at: Timestamp::from_millis(4_000_000_000_000 + n),
        body: vec![7; 200].into(),
    }
}

/// How long a child takes from beginning to open to having opened.
fn time_of_open(model: &Path, copy: &Path) -> Outcome<Duration> {
    let mut longest = Duration::ZERO;
    for _ in 0..3 {
        duplicate(model, copy)?;
        longest = longest.max(time_in(copy)?);
    }
    Ok(longest)
}

fn time_of_creation(copy: &Path) -> Outcome<Duration> {
    clear(copy)?;
    time_in(copy)
}

fn time_in(copy: &Path) -> Outcome<Duration> {
    let child = Child::start("opener", copy, &[])?;
    child.line().ok_or("the child did not start")?;
    let start = Instant::now();
    child.line().ok_or("the child could not open")?;
    Ok(start.elapsed())
}

/// Waits until sled has begun a snapshot; if it writes none, as long as it may take.
fn wait_for_snapshot(path: &Path, most: Duration) {
    let start = Instant::now();
    while start.elapsed() < most && unfinished_snapshot(path).is_none() {}
}

/// Cuts every other unfinished snapshot at random. sled writes one in an instant and then syncs it
/// for long, so a kill nearly always comes when all of it has been written.
fn cut_snapshot(path: &Path, random: &mut Random) -> Outcome {
    if let Some(snapshot) = unfinished_snapshot(path)
        && random.below(2) == 0
    {
        let file = File::options().write(true).open(snapshot)?;
        let length = usize::try_from(file.metadata()?.len())?;
        file.set_len(random.below(length.max(1)) as u64)?;
    }
    Ok(())
}

fn unfinished_snapshot(path: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with(".generating"))
}

fn duplicate(from: &Path, to: &Path) -> Outcome {
    clear(to)?;
    copy_folder(from, to)
}

fn copy_folder(from: &Path, to: &Path) -> Outcome {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn clear(path: &Path) -> Outcome {
    if path.exists() {
        fs::remove_dir_all(path)?;
    }
    Ok(())
}
