//! What is promised, in the words that cases refer to.

/// A clause of the contract: what a store promises, and where that is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Clause {
    /// Its name, with which the sentence of each of its cases begins.
    pub name: &'static str,
    /// What is promised.
    pub promise: &'static str,
    /// Where to read on.
    pub read_on: &'static str,
}

const STORE: &str = "the clauses on `obsession_core::SessionStore`";
const INDEX: &str = "`obsession_core::SessionIndex`";
const SESSION: &str = "`obsession_core::Session`, and the promises in the README";

const fn clause(name: &'static str, promise: &'static str, read_on: &'static str) -> Clause {
    Clause {
        name,
        promise,
        read_on,
    }
}

/// All clauses that have cases.
pub static CLAUSES: &[Clause] = &[
    clause(
        "Live or absent",
        "a record is live until its `expires_at`; at and after that instant it is absent for every \
         method, whether or not cleanup ran",
        STORE,
    ),
    clause(
        "Atomic",
        "each call takes effect at one instant between its start and its answer",
        STORE,
    ),
    clause(
        "Read your writes",
        "a load that begins after a write was acknowledged sees that write or a later one",
        STORE,
    ),
    clause(
        "Never an upsert",
        "only `create` makes a record; an update or a touch of what is absent is `Gone`",
        STORE,
    ),
    clause(
        "Recognised retries",
        "a create or update whose `record.revision` is the stored revision has been applied \
         already, and answers as it did or would have done the first time",
        STORE,
    ),
    clause(
        "Cancel-safe",
        "a future dropped at any await leaves the record as it was before or after the call, and \
         the store usable",
        STORE,
    ),
    clause(
        "Honest",
        "a failure is a `StoreError` that says *not applied* or *unknown*; it is never an outcome, \
         and no outcome hides a failure",
        STORE,
    ),
    clause(
        "Bytes in, bytes out",
        "key, revision, subject, times and body come back as they were given",
        STORE,
    ),
    clause(
        "Isolation",
        "a load gives this key's record or an error, never another's, and stores that share a \
         server are strangers",
        STORE,
    ),
    clause(
        "Durable",
        "what was acknowledged is there when the store is opened again, to the level it states",
        "the store's own documentation on what survives what",
    ),
    clause(
        "Create",
        "`create` adds a record unless a live one has its key",
        "`obsession_core::SessionStore::create`",
    ),
    clause(
        "Update",
        "`update` replaces everything if the live record's revision is the expected one, and \
         answers with the current record if it is not",
        "`obsession_core::SessionStore::update`",
    ),
    clause(
        "Touch",
        "`touch` moves the deadline of the expected revision, only ever later, and changes nothing \
         else",
        "`obsession_core::SessionStore::touch`",
    ),
    clause(
        "Delete",
        "`delete` ends the record; from its acknowledgement on nothing but a create with this key \
         makes it load again",
        "`obsession_core::SessionStore::delete`",
    ),
    clause(
        "Cleanup",
        "`delete_expired` removes at most `limit` records that have expired and never a live one, \
         and says how many; fewer than `limit` means that no more were found",
        "`obsession_core::SessionStore::delete_expired`",
    ),
    clause(
        "List",
        "`list` gives the live records of a subject by ascending key, from a key on, at most \
         `limit`",
        INDEX,
    ),
    clause(
        "Delete of a subject",
        "`delete_subject` ends every record of the subject that was there when the call began, but \
         one, and says how many live ones it ended",
        INDEX,
    ),
    clause(
        "Scan",
        "`scan` gives live records, the oldest deadline first, from a cursor on, at most `limit`",
        INDEX,
    ),
    clause("Count", "`count` says how many records are live", INDEX),
    clause(
        "Push",
        "of a store that pushes, each change of a record rings once for everybody who has been told \
         that he watches it, and nothing rings all the time",
        "`obsession_core::SessionStore::watch`",
    ),
    clause("Index", "the index never disagrees with the records", INDEX),
    clause(
        "No lost update",
        "a session's changes are made again on the newer record, never a stale snapshot",
        SESSION,
    ),
    clause(
        "No resurrection",
        "after a delete, a cycle or the deadline nothing makes the old token load again",
        SESSION,
    ),
    clause(
        "Exactly once",
        "of many requests that take a value or cycle a token, one does",
        SESSION,
    ),
    clause(
        "Expiry is exact",
        "a session is never served at or after its deadline, and use moves it no further than its \
         absolute lifetime",
        SESSION,
    ),
    clause(
        "Never adopted",
        "a token that was not issued gives nothing, and knowing a key gives no access",
        SESSION,
    ),
    clause(
        "Emptying",
        "emptying a session is a write like any other",
        SESSION,
    ),
];

impl Clause {
    /// The clause of this name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        CLAUSES.iter().find(|clause| clause.name == name)
    }
}
