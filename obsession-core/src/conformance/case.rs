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
                load_gives_back_a_body_of_every_length
                load_gives_back_text_of_every_plane
                load_gives_back_every_kind_of_revision
                load_gives_back_every_kind_of_time
                load_keeps_apart_what_differs_in_the_key_alone
                load_changes_nothing
                load_of_a_subject_with_a_nul_is_whole_or_refused
            }
            create {
                create_of_a_taken_key_changes_nothing
                create_again_is_recognised
                create_over_an_expired_record_replaces_it
                create_after_a_delete
                create_of_an_expired_record_is_never_served
                create_again_after_an_update_is_taken
                create_over_an_expired_record_takes_nothing_from_it
                create_again_of_what_has_expired_makes_it
                create_again_after_a_touch_keeps_the_deadline
            }
            update {
                update_replaces_every_field
                update_of_another_revision_is_a_conflict_with_the_current_record
                update_again_is_recognised
                update_of_an_unknown_key_does_not_insert
                update_of_a_deleted_record_does_not_revive_it
                update_of_an_expired_record_does_not_revive_it
                update_may_end_earlier
                update_may_end_later
                update_may_end_it
                update_to_a_shorter_body_leaves_nothing_of_the_longer
                update_conflict_shows_a_moved_deadline
                update_again_after_another_is_a_conflict
                update_of_the_record_before_the_delete_is_a_conflict
                update_leaves_others_alone
                update_again_of_what_has_expired_is_gone
                update_again_after_a_touch_keeps_the_deadline
                update_tells_revisions_apart_that_differ_in_one_bit
            }
            touch {
                touch_moves_the_deadline_and_nothing_else
                touch_never_shortens
                touch_of_an_unknown_key_does_not_create
                touch_of_a_deleted_record_does_not_revive_it
                touch_of_an_expired_record_does_not_revive_it
                touch_is_no_conflict_for_an_update
                touch_of_another_revision_changes_nothing
                touch_moves_by_a_millisecond
                touch_again_is_touched
                touch_keeps_a_large_body
                touch_leaves_others_alone
                touch_of_an_expired_record_is_gone_whatever_it_asks
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
                cleanup_takes_any_limit
                cleanup_passes_by_what_is_live
                cleanup_lets_a_later_create_be
                cleanup_takes_what_has_any_form
                cleanup_does_not_come_early
                cleanup_takes_as_many_as_it_may
            }
            races {
                race_of_creates_has_one_winner
                race_of_updates_has_one_winner_a_revision
                race_of_increments_loses_none
                race_of_update_and_delete_ends_deleted
                race_of_touch_and_delete_ends_deleted
                race_of_touch_and_cleanup_keeps_what_was_touched
                race_of_touch_and_deadline_has_one_outcome
                race_of_loads_and_updates_reads_your_writes
                race_of_deletes_has_one_winner
                race_of_creates_over_an_expired_record_has_one_winner
                race_of_updates_and_touches_loses_no_write
                race_of_update_and_cleanup_keeps_what_was_updated
                race_of_cleanups_counts_each_record_once
            }
            races_apart {
                race_of_loads_and_updates_gives_whole_records
                race_of_touches_keeps_the_latest_deadline
                race_of_calls_on_different_keys_mixes_up_nothing
                race_of_a_touch_and_an_update_is_no_conflict
                race_of_create_and_cleanup_keeps_what_was_created
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
                cancel_of_a_write_is_not_hidden_from_loads
                cancel_of_many_calls_never_gives_anothers_record
                cancel_of_a_load_leaves_no_old_answer
                cancel_of_an_update_comes_in_time_or_never
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
                index_lists_no_expired_record
                index_follows_a_changed_subject
                index_forgets_a_deleted_record
                index_forgets_a_replaced_expired_record
                index_keeps_odd_subjects_apart
                index_deletes_all_of_a_subject_but_one
                index_delete_of_a_subject_leaves_others_alone
                index_counts_live_records
                index_agrees_with_the_records_after_a_storm
                index_lists_a_record_whose_deadline_moved
                index_of_a_subject_with_a_nul_is_not_its_beginnings
                index_delete_of_a_subject_counts_live_records
                index_of_many_records_is_whole
                race_of_a_sign_in_and_the_end_of_a_subject
            }
            index_entries {
                index_shows_records_as_a_load_does
                index_pages_pass_by_what_has_expired
                index_entries_live_as_long_as_their_records
                index_delete_of_a_subject_leaves_a_key_to_its_next_owner
                index_delete_of_the_empty_subject_spares_who_has_none
                index_counts_no_create_twice
            }
            index_races {
                race_of_changes_and_listings_misses_nobody
                race_of_writes_and_the_end_of_a_subject_ends_all
            }
            index_cancel {
                index_agrees_after_calls_that_were_dropped
            }
            index_walks {
                index_pages_meet_every_record_once
                index_pages_stay_right_when_records_come_and_go
                index_scans_by_deadline_from_a_cursor
                index_scan_shows_a_moved_deadline
                index_takes_any_limit
                index_lists_from_after_a_key_that_is_gone
                index_scan_stays_right_when_records_come_and_go
            }
            cancel {
                cancel_of_an_update_leaves_the_index_right
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
                reopen_keeps_the_last_of_different_writes
            }
        }
    };
    (reopen_index, $then:ident $args:tt) => {
        $crate::$then! { $args
            reopen_index {
                reopen_index_agrees_with_the_records
                reopen_does_not_revive_the_sessions_of_a_subject
            }
        }
    };
    (outage, $then:ident $args:tt) => {
        $crate::$then! { $args
            outage {
                outage_of_a_load_is_an_error
                outage_of_writes_is_told_as_it_is
                outage_of_a_write_is_not_hidden_from_loads
                outage_ends_and_everything_works
                outage_leaves_tokens_alone
                outage_of_a_cleanup_is_not_the_last_of_it
                outage_of_many_calls_is_over_when_it_ends
            }
        }
    };
    (outage_index, $then:ident $args:tt) => {
        $crate::$then! { $args
            outage_index {
                outage_of_listings_is_no_empty_answer
                outage_of_the_end_of_a_subject_is_told_as_it_is
            }
        }
    };
    (neighbour, $then:ident $args:tt) => {
        $crate::$then! { $args
            neighbour {
                neighbour_does_not_see_the_other_store
                neighbour_may_have_the_same_key
                neighbour_is_not_cleaned_up
                neighbour_cleans_up_its_own
                neighbour_may_create_what_the_other_has_deleted
            }
        }
    };
    (neighbour_index, $then:ident $args:tt) => {
        $crate::$then! { $args
            neighbour_index {
                neighbour_is_neither_listed_nor_counted
                neighbour_keeps_its_sessions_of_the_same_subject
            }
        }
    };
    (peer, $then:ident $args:tt) => {
        $crate::$then! { $args
            peer {
                peer_sees_what_was_created
                peer_sees_every_update
                peer_sees_a_moved_deadline
                peer_sees_a_delete
                peer_answers_a_stale_write_with_the_newest_record
                peer_recognises_a_retry
                peer_cleans_up_once
                peer_races_lose_no_increment
                peer_storm_is_linearizable
                peer_serves_the_same_sessions
                peer_answers_a_touch_by_the_record
            }
        }
    };
    (peer_index, $then:ident $args:tt) => {
        $crate::$then! { $args
            peer_index {
                peer_lists_the_same_records
                peer_ends_all_of_a_subject_everywhere
            }
        }
    };
    (push, $then:ident $args:tt) => {
        $crate::$then! { $args
            push {
                push_tells_of_a_delete
                push_tells_of_every_update
                push_tells_of_what_the_same_handle_did
                push_tells_all_who_watch
                push_tells_of_each_of_many_records
                push_of_others_outlives_a_watch_that_is_dropped
                push_is_quiet_while_nothing_happens
            }
        }
    };
    (push_index, $then:ident $args:tt) => {
        $crate::$then! { $args
            push_index {
                push_tells_of_the_end_of_a_subject
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

pub(crate) fn of_index_outages<S: SessionIndex>() -> Vec<Case<S>> {
    crate::__conformance_cases!(outage_index, __conformance_list[S])
}

pub(crate) fn of_neighbours<S: SessionStore>() -> Vec<Case<S>> {
    crate::__conformance_cases!(neighbour, __conformance_list[S])
}

pub(crate) fn of_neighbouring_indexes<S: SessionIndex>() -> Vec<Case<S>> {
    crate::__conformance_cases!(neighbour_index, __conformance_list[S])
}

pub(crate) fn of_peers<S: SessionStore>() -> Vec<Case<S>> {
    crate::__conformance_cases!(peer, __conformance_list[S])
}

pub(crate) fn of_peering_indexes<S: SessionIndex>() -> Vec<Case<S>> {
    crate::__conformance_cases!(peer_index, __conformance_list[S])
}

pub(crate) fn of_pushing<S: SessionStore>() -> Vec<Case<S>> {
    crate::__conformance_cases!(push, __conformance_list[S])
}

pub(crate) fn of_pushing_indexes<S: SessionIndex>() -> Vec<Case<S>> {
    crate::__conformance_cases!(push_index, __conformance_list[S])
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
        of_index_outages(),
        of_neighbours(),
        of_neighbouring_indexes(),
        of_peers(),
        of_peering_indexes(),
        of_pushing(),
        of_pushing_indexes(),
    ];
    groups.into_iter().flatten()
}
