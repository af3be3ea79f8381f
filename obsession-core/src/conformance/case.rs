//! The list of cases, for tests and for reports.

use std::pin::Pin;

use super::clauses::Clause;
use super::fixture::Fixture;
use crate::{SessionIndex, SessionStore};

type Run<S> = fn(Fixture<S>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

/// One case: a function of a fixture, and the sentence above it.
pub(crate) struct Case<S> {
    pub(crate) name: &'static str,
    pub(crate) run: Run<S>,
    /// The file it stands in.
    pub(crate) source: &'static str,
}

impl<S> Case<S> {
    /// The line above the function: the clause's name, a colon, and what the case looks at.
    pub(crate) fn sentence(&self) -> &'static str {
        let function = format!("pub async fn {}<", self.name);
        let above = self.source.split(&function).next().unwrap_or_default();
        let sentence = above.trim_end().lines().next_back().unwrap_or_default();
        sentence.trim_start_matches("/// ")
    }

    pub(crate) fn clause(&self) -> Option<&'static Clause> {
        let (name, _) = self.sentence().split_once(':')?;
        Clause::named(name)
    }
}

/// Gives the cases of a group to another macro of this crate, by the files that they stand in.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_cases {
    (store, $then:ident $args:tt) => {
        $crate::$then! { $args
            load {
                load_of_an_unknown_key_is_nothing
                load_gives_back_every_field
                load_gives_back_every_byte
                load_gives_back_a_large_body
                load_keeps_keys_apart_that_differ_in_one_character
                load_gives_back_odd_subjects
                load_before_the_deadline_but_not_at_it
                load_of_a_far_deadline
            }
            create {
                create_of_a_taken_key_changes_nothing
                create_again_is_recognised
                create_over_an_expired_record_replaces_it
                create_after_a_delete
                create_of_an_expired_record_is_never_served
            }
            update {
                update_replaces_every_field
                update_of_another_revision_is_a_conflict_with_the_current_record
                update_again_is_recognised
                update_of_an_unknown_key_does_not_insert
                update_of_a_deleted_record_does_not_revive_it
                update_of_an_expired_record_does_not_revive_it
                update_may_end_earlier
            }
            touch {
                touch_moves_the_deadline_and_nothing_else
                touch_never_shortens
                touch_of_an_unknown_key_does_not_create
                touch_of_a_deleted_record_does_not_revive_it
                touch_of_an_expired_record_does_not_revive_it
                touch_is_no_conflict_for_an_update
                touch_of_another_revision_changes_nothing
            }
            delete {
                delete_ends_the_record
                delete_again_is_gone
                delete_of_an_expired_record_is_gone
                delete_leaves_others_alone
            }
            cleanup {
                cleanup_removes_the_expired_and_nothing_else
                cleanup_keeps_to_its_limit
                cleanup_spares_what_was_touched_or_updated
                cleanup_of_an_empty_store_is_zero
            }
            races {
                race_of_creates_has_one_winner
                race_of_updates_has_one_winner_a_revision
                race_of_increments_loses_none
                race_of_update_and_delete_ends_deleted
                race_of_touch_and_delete_ends_deleted
                race_of_touch_and_cleanup_keeps_what_was_touched
                race_of_loads_and_updates_reads_your_writes
                race_of_deletes_has_one_winner
            }
            orders {
                orders_of_two_actors_agree_with_the_model
                orders_of_two_actors_on_an_expired_record
                orders_of_three_actors_agree_with_the_model
            }
            storms {
                storm_of_every_two_calls_is_linearizable
                storm_of_every_three_calls_is_linearizable
                storm_on_one_record_is_linearizable
                storm_on_a_few_records_is_linearizable
            }
            cancel {
                cancel_of_a_create_at_every_poll
                cancel_of_an_update_at_every_poll
                cancel_of_a_touch_at_every_poll
                cancel_of_a_delete_at_every_poll
                cancel_of_a_load_at_every_poll
                cancel_of_a_cleanup_at_every_poll
                cancel_of_many_calls_never_gives_anothers_record
            }
            sessions {
                session_updates_of_many_requests_are_all_counted
                session_changes_to_different_names_all_survive
                session_late_save_does_not_revive_a_deleted_session
                session_take_is_given_to_exactly_one
                session_of_many_cycles_has_one_current_token
                session_sign_in_ends_the_old_token_and_keeps_the_cart
                session_expires_by_its_idle_timeout_and_its_absolute_lifetime
                session_of_a_forged_token_is_nobodys
                session_emptied_stays_empty
            }
            faults {
                fault_of_an_update_without_an_answer_counts_once
                fault_of_a_create_without_an_answer_makes_one_session
                fault_of_a_delete_without_an_answer_ends_the_session
                fault_of_a_load_is_never_no_session
                fault_of_calls_made_twice_changes_nothing_more
                fault_of_calls_by_chance_is_told_as_it_is
            }
        }
    };
    (index, $then:ident $args:tt) => {
        $crate::$then! { $args
            index {
                index_lists_the_sessions_of_a_subject_by_key
                index_lists_nothing_of_others
                index_pages_meet_every_record_once
                index_lists_no_expired_record
                index_follows_a_changed_subject
                index_forgets_a_deleted_record
                index_forgets_a_replaced_expired_record
                index_keeps_odd_subjects_apart
                index_pages_stay_right_when_records_come_and_go
                index_deletes_all_of_a_subject_but_one
                index_delete_of_a_subject_leaves_others_alone
                index_scans_by_deadline_from_a_cursor
                index_scan_shows_a_moved_deadline
                index_counts_live_records
                index_agrees_with_the_records_after_a_storm
            }
        }
    };
    (reopen, $then:ident $args:tt) => {
        $crate::$then! { $args
            reopen {
                reopen_keeps_what_was_created
                reopen_keeps_the_last_update
                reopen_keeps_a_touched_deadline
                reopen_does_not_revive_a_deleted_record
                reopen_serves_nothing_that_expired_meanwhile
                reopen_recognises_writes_of_before
                reopen_keeps_a_large_body
            }
        }
    };
    (reopen_index, $then:ident $args:tt) => {
        $crate::$then! { $args
            reopen_index {
                reopen_index_agrees_with_the_records
            }
        }
    };
    (outage, $then:ident $args:tt) => {
        $crate::$then! { $args
            outage {
                outage_of_a_load_is_an_error
                outage_of_writes_is_told_as_it_is
                outage_ends_and_everything_works
                outage_leaves_tokens_alone
            }
        }
    };
    (neighbour, $then:ident $args:tt) => {
        $crate::$then! { $args
            neighbour {
                neighbour_does_not_see_the_other_store
                neighbour_may_have_the_same_key
                neighbour_is_not_cleaned_up
            }
        }
    };
}

/// The cases of a group as a list.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_list {
    ([$store:ty] $($module:ident { $($case:ident)* })*) => {
        vec![$($(
            Case::<$store> {
                name: stringify!($case),
                run: |at| Box::pin(super::$module::$case(at)),
                source: include_str!(concat!(stringify!($module), ".rs")),
            },
        )*)*]
    };
}

pub(crate) fn of_stores<S: SessionStore>() -> Vec<Case<S>> {
    crate::__conformance_cases!(store, __conformance_list[S])
}

pub(crate) fn of_indexes<S: SessionIndex>() -> Vec<Case<S>> {
    crate::__conformance_cases!(index, __conformance_list[S])
}

pub(crate) fn of_reopening<S: SessionStore>() -> Vec<Case<S>> {
    crate::__conformance_cases!(reopen, __conformance_list[S])
}

pub(crate) fn of_reopening_indexes<S: SessionIndex>() -> Vec<Case<S>> {
    crate::__conformance_cases!(reopen_index, __conformance_list[S])
}

pub(crate) fn of_outages<S: SessionStore>() -> Vec<Case<S>> {
    crate::__conformance_cases!(outage, __conformance_list[S])
}

pub(crate) fn of_neighbours<S: SessionStore>() -> Vec<Case<S>> {
    crate::__conformance_cases!(neighbour, __conformance_list[S])
}

/// The names of all cases.
pub(crate) fn names() -> Vec<&'static str> {
    all::<crate::MemoryStore>().map(|case| case.name).collect()
}

/// The cases of all groups.
pub(crate) fn all<S: SessionIndex>() -> impl Iterator<Item = Case<S>> {
    let groups = [
        of_stores(),
        of_indexes(),
        of_reopening(),
        of_reopening_indexes(),
        of_outages(),
        of_neighbours(),
    ];
    groups.into_iter().flatten()
}
