//! The suite for people who write a store: does it keep what sessions rely on?
//!
//! Write one constructor and name it. Every case becomes a test of its own, named after the
//! operation that it checks. Nothing else is needed in your crate but this one as a development
//! dependency with its feature `conformance`.
//!
//! ```
//! use obsession_core::MemoryStore;
//! use obsession_core::conformance::Time;
//!
//! async fn make(time: Time) -> MemoryStore {
//!     MemoryStore::builder().clock(time.clock()).build()
//! }
//!
//! // In tests/conformance.rs:
//! obsession_core::conformance!(make, index);
//! # fn main() {}
//! ```
//!
//! * `make` is called once a case. It gives an empty store; or a store and something to keep as
//!   long as the store is used, such as its temporary folder: `(store, folder)`; or a [`Setup`].
//! * A store that decides expiry by a clock of this process takes [`Time::clock`], and the cases
//!   set it. A store that decides by another clock does not, and the cases wait: milliseconds.
//! * `conformance!(make)` checks a [`SessionStore`](crate::SessionStore). After the constructor
//!   stands what else there is to check, in any order: `index` for a
//!   [`SessionIndex`](crate::SessionIndex), `reopen` if the constructor gives [`Setup::reopen`],
//!   `outage` if it gives [`Setup::outage`], `neighbour` if it gives [`Setup::neighbour`], `peer` if
//!   it gives [`Setup::peer`], `push` if the store [rings](crate::SessionStore::watch) when a record
//!   changes. What is not named shows as ignored, *not checked*.
//! * A store whose server removes expired records by itself says so: [`Setup::cleans_itself`].
//! * `conformance!(make, index; ignore a_case = "the reason", another_case = "its reason")` marks
//!   cases as ignored, with your reason.
//! * [`run`] and [`run_index`] give a [`Report`] instead of tests: a table, or JSON.
//! * [`count_up`] adds to one value by as many requests at once as you like, and counts.
//! * [`Faulty`] is a store that fails on purpose, for applications too.
//!
//! A failing case says what was promised, what was done, what came back, and where to read on.
//! [`CLAUSES`] are the promises, each with the name with which its cases begin.
//!
//! The chapter [Write your own store](crate::write_your_own_store) walks through a complete store,
//! says how to supply what each flag needs, and reads a failure line by line.

#![allow(
    clippy::missing_panics_doc,
    clippy::expect_used,
    clippy::panic,
    reason = "a case fails by panicking"
)]

mod case;
mod chance;
mod clauses;
mod counting;
mod faulty;
mod fixture;
mod history;
mod model;
mod recorded;
mod report;
mod run;
mod time;

pub mod cancel;
pub mod cleanup;
pub mod create;
pub mod delete;
pub mod faults;
pub mod index;
pub mod index_cancel;
pub mod index_entries;
pub mod index_races;
pub mod index_walks;
pub mod load;
pub mod neighbour;
pub mod neighbour_index;
pub mod orders;
pub mod outage;
pub mod outage_index;
pub mod peer;
pub mod peer_index;
pub mod push;
pub mod push_index;
pub mod races;
pub mod races_apart;
pub mod reopen;
pub mod reopen_index;
pub mod sessions;
pub mod storms;
pub mod touch;
pub mod update;

pub use clauses::{CLAUSES, Clause};
pub use counting::{Counted, count_up};
pub use faulty::{Fault, Faulty, Rival};
pub use fixture::{Fixture, IntoSetup, Setup, revision, rewritten};
pub use recorded::Recorded;
pub use report::{Outcome, Report, Verdict};
#[doc(hidden)]
pub use run::{check, check_index, names_cases};
pub use run::{run, run_index};
pub use time::Time;

/// Makes every case of the suite a test. See [the module](mod@crate::conformance).
#[macro_export]
macro_rules! conformance {
    ($make:expr $(, $flag:ident)* $(,)?) => {
        $crate::conformance!($make $(, $flag)*; ignore);
    };
    ($make:expr $(, $flag:ident)*; ignore $($case:ident = $reason:literal),* $(,)?) => {
        $crate::__conformance_ignore!(($) $($case = $reason),*);
        $($crate::__conformance_flag!($flag);)*
        $crate::__conformance_cases!(store, __conformance_tests [check, $make]);
        $crate::__conformance_group!(reopen: check [$make] reopen in [$($flag)*]);
        $crate::__conformance_group!(outage: check [$make] outage in [$($flag)*]);
        $crate::__conformance_group!(neighbour: check [$make] neighbour in [$($flag)*]);
        $crate::__conformance_group!(peer: check [$make] peer in [$($flag)*]);
        $crate::__conformance_group!(push: check [$make] push in [$($flag)*]);
        $crate::__conformance_if!(index in [$($flag)*] {
            $crate::__conformance_cases!(index, __conformance_tests [check_index, $make]);
            $crate::__conformance_group!(reopen_index: check_index [$make] reopen in [$($flag)*]);
            $crate::__conformance_group!(outage_index: check_index [$make] outage in [$($flag)*]);
            $crate::__conformance_group!(
                neighbour_index: check_index [$make] neighbour in [$($flag)*]
            );
            $crate::__conformance_group!(peer_index: check_index [$make] peer in [$($flag)*]);
            $crate::__conformance_group!(push_index: check_index [$make] push in [$($flag)*]);
        } {});
    };
}

/// A misspelt flag would unlock nothing, and nobody would know.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_flag {
    (index) => {};
    (reopen) => {};
    (outage) => {};
    (neighbour) => {};
    (peer) => {};
    (push) => {};
    ($other:ident) => {
        compile_error!(concat!(
            "`",
            stringify!($other),
            "` is none of index, reopen, outage, neighbour, peer, push"
        ));
    };
}

/// The first block if the flag is in the list, else the second.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_if {
    (index in [index $($flag:ident)*] { $($yes:tt)* } $no:tt) => { $($yes)* };
    (reopen in [reopen $($flag:ident)*] { $($yes:tt)* } $no:tt) => { $($yes)* };
    (outage in [outage $($flag:ident)*] { $($yes:tt)* } $no:tt) => { $($yes)* };
    (neighbour in [neighbour $($flag:ident)*] { $($yes:tt)* } $no:tt) => { $($yes)* };
    (peer in [peer $($flag:ident)*] { $($yes:tt)* } $no:tt) => { $($yes)* };
    (push in [push $($flag:ident)*] { $($yes:tt)* } $no:tt) => { $($yes)* };
    ($wanted:ident in [$other:ident $($flag:ident)*] $yes:tt $no:tt) => {
        $crate::__conformance_if!($wanted in [$($flag)*] $yes $no);
    };
    ($wanted:ident in [] $yes:tt { $($no:tt)* }) => { $($no)* };
}

/// The cases of a group as tests if its flag is given, and as ignored tests if it is not.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_group {
    ($group:ident: $check:ident [$make:expr] $wanted:ident in $flags:tt) => {
        $crate::__conformance_if!($wanted in $flags {
            $crate::__conformance_cases!($group, __conformance_tests [$check, $make]);
        } {
            $crate::__conformance_cases!($group, __conformance_unchecked [$wanted]);
        });
    };
}

/// A test for each case of a group.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ([$check:ident, $make:expr] $($module:ident { $($case:ident)* })*) => {
        $($(
            __conformance_test! {
                $case
                fn $case() {
                    $crate::conformance::$check($make, stringify!($case));
                }
            }
        )*)*
    };
}

/// An ignored test for each case of a group, so that nobody takes it for a passed one.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_unchecked {
    ([$flag:ident] $($module:ident { $($case:ident)* })*) => {
        $($(
            #[test]
            #[ignore = concat!("not checked: conformance! does not name `", stringify!($flag), "`")]
            fn $case() {
                panic!("not checked: conformance! does not name `{}`", stringify!($flag));
            }
        )*)*
    };
}

/// Makes the macro that puts `#[test]` on a case, and `#[ignore]` on those that are named.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_ignore {
    (($d:tt) $($case:ident = $reason:literal),*) => {
        macro_rules! __conformance_test {
            $(
                ($case $d($d item:tt)*) => {
                    #[test]
                    #[ignore = $reason]
                    $d($d item)*
                };
            )*
            ($d case:ident $d($d item:tt)*) => {
                #[test]
                $d($d item)*
            };
        }

        /// A misspelt name would ignore nothing, and nobody would know.
        #[test]
        fn suite_has_the_cases_that_are_ignored() {
            $crate::conformance::names_cases(&[$(stringify!($case)),*]);
        }
    };
}

#[cfg(test)]
mod tests;
