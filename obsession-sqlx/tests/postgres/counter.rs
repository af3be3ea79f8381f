//! No increment is lost, however many requests make one at once.

use obsession_core::conformance::count_up;

use crate::{SERVER, common, store};

#[tokio::test(flavor = "multi_thread")]
async fn the_increments_of_64_tasks_are_all_counted() {
    let each = if common::full() { 1000 } else { 100 };
    println!("{:?}", count_up(store(&SERVER).await, 64, each).await);
}
