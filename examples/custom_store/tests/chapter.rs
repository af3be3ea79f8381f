//! What the chapter "Write your own store" quotes is what stands in this store.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

const CHAPTER: &str = include_str!("../../../obsession-core/docs/write-your-own-store.md");
const SOURCES: [&str; 2] = [
    include_str!("../src/lib.rs"),
    include_str!("../src/transactions.rs"),
];

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_chapter_quotes_what_is_there() {
    let quotes: Vec<_> = CHAPTER
        .split("```rust,ignore\n")
        .skip(1)
        .map(|rest| squeezed(rest.split("```").next().unwrap()))
        .collect();
    assert_eq!(quotes.len(), 2);
    for quote in quotes {
        let stands = SOURCES
            .iter()
            .any(|source| squeezed(source).contains(&quote));
        assert!(stands, "{quote}");
    }
}
