//! What is logged, down to the finest level, by the thread that asks.
//!
//! There is one subscriber for the whole process: with one for each test, a line that another thread
//! met before could stay switched off.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

thread_local! {
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Begins to write down what is logged. What this thread has logged so far is forgotten.
pub(crate) fn begin() {
    static SUBSCRIBER: Once = Once::new();
    SUBSCRIBER.call_once(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(|| Here)
            .init();
    });
    LOGGED.take();
}

/// Writes down the same, from the level INFO on.
pub(crate) fn at_info() -> impl tracing::Subscriber + Send + Sync {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_ansi(false)
        .with_writer(|| Here)
        .finish()
}

/// What this thread has logged since.
pub(crate) fn logged() -> String {
    String::from_utf8(LOGGED.take()).unwrap()
}

struct Here;

impl io::Write for Here {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
