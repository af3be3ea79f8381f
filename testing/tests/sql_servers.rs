//! The throwaway database servers: they keep what they must, and leave nothing behind.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use testing::{MariadbServer, PgBouncer, PostgresServer};

#[test]
fn a_killed_postgres_has_what_it_acknowledged() {
    let mut server = PostgresServer::start(&[]).unwrap();
    server.sql("CREATE TABLE t (n int)").unwrap();
    for n in 0..3 {
        server.sql(&format!("INSERT INTO t VALUES ({n})")).unwrap();
        server.kill();
        assert!(server.sql("SELECT 1").is_err());
        server.restart().unwrap();
    }
    assert_eq!(server.sql("SELECT n FROM t ORDER BY n").unwrap(), "0\n1\n2");
    server.stop();
    assert!(server.sql("SELECT 1").is_err());
    server.restart().unwrap();
    assert_eq!(server.sql("SELECT count(*) FROM t").unwrap(), "3");
    assert_eq!(server.sql("SHOW fsync").unwrap(), "on");
}

#[test]
fn a_postgres_takes_settings_and_counts_what_it_is_asked() {
    let server = PostgresServer::start(&PostgresServer::FAST).unwrap();
    assert_eq!(server.sql("SHOW fsync").unwrap(), "off");
    let before = server.calls().unwrap();
    for _ in 0..5 {
        server.sql("SELECT 7").unwrap();
    }
    assert_eq!(server.calls().unwrap() - before, 5);
    let error = server.sql("SELEKT").unwrap_err().to_string();
    assert!(error.contains("syntax error"), "{error}");
}

#[test]
fn a_killed_mariadb_has_what_it_acknowledged() {
    let mut server = MariadbServer::start(&[]).unwrap();
    let table = "CREATE TABLE t (n int PRIMARY KEY) ENGINE=InnoDB";
    server.sql(table).unwrap();
    for n in 0..3 {
        server.sql(&format!("INSERT INTO t VALUES ({n})")).unwrap();
        server.kill();
        assert!(server.sql("SELECT 1").is_err());
        server.restart().unwrap();
    }
    assert_eq!(server.sql("SELECT n FROM t ORDER BY n").unwrap(), "0\n1\n2");
}

#[test]
fn a_bouncer_carries_each_transaction_to_a_connection_that_is_free() {
    let server = PostgresServer::start(&PostgresServer::FAST).unwrap();
    let mut bouncer = PgBouncer::start(&server, 1).unwrap();
    let ask = |bouncer: &PgBouncer| {
        let (port, sql) = (bouncer.port(), "SELECT pg_backend_pid()");
        server.sql_at(port, sql).unwrap()
    };
    let first = ask(&bouncer);
    assert_eq!(ask(&bouncer), first);
    bouncer.kill();
    bouncer.restart().unwrap();
    assert_ne!(ask(&bouncer), first);
}

/// A test that is killed leaves neither processes nor folders: what it started watches for its end.
#[test]
fn nothing_outlives_the_process_that_started_it() {
    if let Some(report) = std::env::var_os("SERVERS_OF_A_CHILD") {
        let postgres = PostgresServer::start(&[]).unwrap();
        let mariadb = MariadbServer::start(&[]).unwrap();
        let folders = [postgres.folder(), mariadb.folder()].map(Path::to_path_buf);
        let text = folders
            .map(|folder| folder.display().to_string())
            .join("\n");
        std::fs::write(report, text).unwrap();
        std::process::abort();
    }
    let report = tempfile::NamedTempFile::new().unwrap();
    let own = "nothing_outlives_the_process_that_started_it";
    let ended = Command::new(std::env::current_exe().unwrap())
        .args([own, "--exact"])
        .env("SERVERS_OF_A_CHILD", report.path())
        .output()
        .unwrap();
    assert!(!ended.status.success());
    let text = std::fs::read_to_string(report.path()).unwrap();
    let folders: Vec<PathBuf> = text.lines().map(PathBuf::from).collect();
    assert_eq!(folders.len(), 2, "{ended:?}");
    let until = Instant::now() + Duration::from_secs(20);
    while folders.iter().any(|folder| folder.exists()) || is_named(&folders) {
        assert!(Instant::now() < until, "{folders:?} are there");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether the command line of a process names one of the folders.
fn is_named(folders: &[PathBuf]) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let lines: Vec<_> = lines
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .collect();
    let names = |folder: &PathBuf| {
        lines
            .iter()
            .any(|line| line.contains(folder.to_str().unwrap()))
    };
    folders.iter().any(names)
}
