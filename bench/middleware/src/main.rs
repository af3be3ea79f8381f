//! The same requests through the middleware of each library, in turns, in one run.

use std::path::PathBuf;
use std::time::Duration;

use middleware::counted::Counted;
use middleware::http::{self, Served};
use middleware::libraries::Library;
use middleware::request::{WORKLOADS, Workload, size_name};
use middleware::table::{self, Rounds, ThreadsRow};
use middleware::{measure, threads, verify::verify};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use work::{Chart, Outcome, Size, write_json};

const HELP: &str = "\
The same requests through the middleware of each library, in turns, in one run.

cargo run --release -p middleware -- [--http] [--small] [--large] [--quick]
    [--only LIBRARY]... [--request NAME]... [--seconds S] [--rounds N] [--json FILE] [--svg FILE]

In process, without --http: a request with its cookie in, a response with its headers out, each library
on its store in memory. One thread, one request after the other. Each of N rounds (11) has all libraries,
each for S seconds (0.1) on a store of its own of 1,000 sessions of 10 keys and about 256 bytes, and of
200 of 100 keys and 16 KiB; --small or --large has one of them only. A round makes at most 20,000 new
sessions, or 2,000 large ones. `net` is the time beyond the same service without sessions in the same
round; its ratio to that of tower-sessions 0.14 is taken round by round. Allocations (and reallocations)
are the median of 1,024 requests, counted in a process of its own, which is built for it. Then what a
second worker thread adds to 32 tasks that read, for each S times 10.

Sessions last two weeks without use, all else is at its defaults. What that means:
  obsession            40 random characters, of which the store has a hash; a write is a swap
  tower-sessions       0.14 and 0.15; Expiry::OnInactivity; of two writes at once the last one stays
  axum_session 0.22    no database; every answer sets two cookies
  async-session 3      has no middleware; around its store is here what those built on it do: load at each
                       request, store at its end; its store in memory shares values instead of copying
  actix-session 0.11   called as its tests call an application; its cookie is encrypted, as it comes;
                       has no store in memory: the one here is a HashMap of JSON behind a Mutex

Before it is measured each library is checked: what is read is what was stored, a write is seen later, a
sign-in gives a new id and the old one is dead, a new session has a cookie.

--http  instead: hyper and axum on loopback, HTTP/1.1 with keep-alive, without sessions and with them.
        Each server is a process with one thread, this one has 32 connections to it on another thread.
        N rounds (11) of S seconds (1) each; new sessions at most as many as above. Needs two cores at
        least.
--only, --request
        these libraries or requests of the first table only, by the names that it has, without
        worker threads; for a profiler
--quick 3 rounds, and a fifth of the seconds: to see that it works
--json  writes all figures, with the machine, the date and the command line
--svg   draws the ratios to tower-sessions 0.14, or with --http to the server without sessions

For the record, on a quiet machine:
    cargo run --release -p middleware -- --json middleware.json --svg middleware.svg
    cargo run --release -p middleware -- --http --json http.json --svg http.svg
";

struct Options {
    http: bool,
    sizes: Vec<Size>,
    libraries: Vec<Library>,
    workloads: Vec<Workload>,
    time: Option<Duration>,
    rounds: Option<usize>,
    quick: bool,
    json: Option<PathBuf>,
    svg: Option<PathBuf>,
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if_eq("--serve").is_some() {
        let site = http::Site::named(&arguments.next().ok_or("which server?")?)?;
        let size = Size::named(&arguments.next().ok_or("which size?")?)?;
        return one_thread()?.block_on(http::serve(site, size));
    }
    let Some(options) = options(arguments)? else {
        print!("{HELP}");
        return Ok(());
    };
    match options.http {
        true => one_thread()?.block_on(over_http(&options)),
        false => in_process(&options),
    }
}

fn one_thread() -> Outcome<Runtime> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

fn options(mut arguments: impl Iterator<Item = String>) -> Outcome<Option<Options>> {
    let mut options = Options {
        http: false,
        sizes: Vec::new(),
        libraries: Vec::new(),
        workloads: Vec::new(),
        time: None,
        rounds: None,
        quick: false,
        json: None,
        svg: None,
    };
    while let Some(argument) = arguments.next() {
        let mut next = || {
            arguments
                .next()
                .ok_or(format!("{argument} takes something"))
        };
        match &*argument {
            "--help" | "-h" => return Ok(None),
            "--http" => options.http = true,
            "--small" => options.sizes.push(Size::Small),
            "--large" => options.sizes.push(Size::Large),
            "--only" => options.libraries.push(Library::named(&next()?)?),
            "--request" => options.workloads.push(Workload::named(&next()?)?),
            "--quick" => options.quick = true,
            "--seconds" => options.time = Some(Duration::try_from_secs_f64(next()?.parse()?)?),
            "--rounds" => options.rounds = Some(next()?.parse()?),
            "--json" => options.json = Some(next()?.into()),
            "--svg" => options.svg = Some(next()?.into()),
            other => return Err(format!("{other} is not known; --help says what is").into()),
        }
    }
    if options.sizes.is_empty() {
        options.sizes = vec![Size::Small, Size::Large];
    }
    Ok(Some(options))
}

impl Options {
    fn libraries(&self) -> Vec<Library> {
        match self.libraries.is_empty() {
            true => Library::ALL.to_vec(),
            false => self.libraries.clone(),
        }
    }

    fn workloads(&self) -> Vec<Workload> {
        match self.workloads.is_empty() {
            true => WORKLOADS.to_vec(),
            false => self.workloads.clone(),
        }
    }

    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 3 } else { 11 })
    }

    fn time(&self, usual: Duration) -> Duration {
        self.time
            .unwrap_or(if self.quick { usual / 5 } else { usual })
    }

    fn write(&self, rows: &serde_json::Value, chart: &Chart) -> Outcome<()> {
        if let Some(path) = &self.json {
            write_json(path, rows)?;
        }
        if let Some(path) = &self.svg {
            std::fs::write(path, chart.svg())?;
        }
        Ok(())
    }
}

fn in_process(options: &Options) -> Outcome<()> {
    let counted = Counted::now()?;
    let runtime = one_thread()?;
    let mut all = Vec::new();
    for size in &options.sizes {
        for library in options.libraries() {
            runtime.block_on(verify(library, *size))?;
        }
        for workload in options.workloads() {
            let rounds = compare(*size, workload, options, &counted);
            all.extend(runtime.block_on(rounds)?);
        }
    }
    drop(runtime);
    let everything = options.libraries.is_empty() && options.workloads.is_empty();
    let threads = everything.then(|| with_threads(options)).transpose()?;
    let rows = table::rows(&all);
    table::print(&rows);
    if let Some(threads) = &threads {
        println!();
        table::print_threads(threads);
    }
    let json = json!({ "middleware": rows, "threads": threads });
    options.write(&json, &table::chart(&rows))
}

/// Each library in turn, so that what disturbs one disturbs the others.
async fn compare(
    size: Size,
    workload: Workload,
    options: &Options,
    counted: &Counted,
) -> Outcome<Vec<Rounds>> {
    let mut all = Vec::new();
    for library in options.libraries() {
        all.push(Rounds {
            library,
            size,
            workload,
            allocations: counted.of(library, size, workload)?,
            times: Vec::new(),
        });
    }
    let time = options.time(Duration::from_millis(100));
    for round in 1..=options.rounds() {
        eprintln!("{}, {}, round {round}", size_name(size), workload.name);
        for Rounds { library, times, .. } in &mut all {
            times.push(measure::round(*library, size, workload, time).await?);
        }
    }
    Ok(all)
}

fn with_threads(options: &Options) -> Outcome<Vec<ThreadsRow>> {
    let time = options.time(Duration::from_millis(100)) * 10;
    let mut all = threads::LIBRARIES.map(|library| (library, Vec::new(), Vec::new()));
    for round in 1..=options.rounds() {
        eprintln!("worker threads, round {round}");
        for (library, one, two) in &mut all {
            one.push(threads::rate(*library, 1, time)?);
            two.push(threads::rate(*library, 2, time)?);
        }
    }
    let rows = all
        .iter()
        .map(|(library, one, two)| ThreadsRow::new(*library, one, two));
    Ok(rows.collect())
}

async fn over_http(options: &Options) -> Outcome<()> {
    let time = options.time(Duration::from_secs(1));
    let mut rows = Vec::new();
    for &size in &options.sizes {
        let mut servers = Vec::new();
        for site in http::Site::ALL {
            servers.push(Served::start(site, size).await?);
        }
        for (name, work) in http::WORKS {
            let mut all = vec![Vec::new(); servers.len()];
            for round in 1..=options.rounds() {
                eprintln!("over HTTP, {}, {name}, round {round}", size_name(size));
                for (server, rounds) in servers.iter_mut().zip(&mut all) {
                    rounds.push(server.round(work, time).await?);
                }
            }
            rows.extend(http::rows(name, size, &all));
        }
    }
    http::print(&rows);
    options.write(&json!({ "http": rows }), &http::chart(&rows))
}
