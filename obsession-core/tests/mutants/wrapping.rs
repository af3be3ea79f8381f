//! What wrappers of stores get wrong: a cache, one that seals bodies, one that migrates.

mod caching;
mod moving;
mod sealing;

pub(crate) use caching::all as caches;
pub(crate) use moving::all as migrations;
pub(crate) use sealing::all as seals;
