//! What has to hold, by the letters and numbers that tests, defects and pages name.

/// One of them.
#[derive(Debug)]
pub(crate) struct Invariant {
    pub(crate) id: &'static str,
    pub(crate) says: &'static str,
    /// Why no defect breaks it, if none can.
    pub(crate) held_by: Option<&'static str>,
}

const fn tested(id: &'static str, says: &'static str) -> Invariant {
    Invariant {
        id,
        says,
        held_by: None,
    }
}

const fn held(id: &'static str, says: &'static str, by: &'static str) -> Invariant {
    Invariant {
        id,
        says,
        held_by: Some(by),
    }
}

/// `T`: tokens and links; `M`: memberships; `P`: permissions, groups and addresses; `D`: what is
/// stored; `R`: bad input.
pub(crate) const INVARIANTS: &[Invariant] = &[
    tested(
        "T1",
        "no selector is issued twice, by whatever organization and however long ago",
    ),
    tested(
        "T2",
        "an active link has one active token, one that has ended has none",
    ),
    tested("T3", "a token that was retired is never active again"),
    tested(
        "T4",
        "a refresh changes the token and its generation, and nothing else of the link",
    ),
    tested(
        "T5",
        "no claim with a token commits after that token's end has",
    ),
    tested("T6", "enabling a link brings no earlier token back"),
    tested(
        "T7",
        "whatever ends a link ends no membership, proxy user, group or grant",
    ),
    tested(
        "T8",
        "what ends at a time is over at that time, and a clock that steps back revives nothing",
    ),
    tested(
        "T9",
        "uses never pass their limit, and as many as fit get in when many claim at once",
    ),
    tested(
        "T10",
        "a member that claims again changes and counts nothing; a request that ends without approval gives its use back",
    ),
    tested("T11", "a refused command leaves what is stored as it was"),
    tested(
        "T12",
        "no verifier is in a row, event, message, error, log line or debug output",
    ),
    tested(
        "T13",
        "a token has one spelling, which is parsed and written as itself",
    ),
    tested("T14", "a token with any one part changed does not verify"),
    tested(
        "T15",
        "a membership's host is the host of the token, whatever the request says",
    ),
    tested("T16", "looking at a token changes nothing"),
    tested(
        "T17",
        "whatever is wrong with a token, the answer and the work for it are the same",
    ),
    tested(
        "T18",
        "a link without uses, or that ends in the past or beyond the policy, is refused when it is made",
    ),
    tested(
        "M1",
        "a membership goes from one status to another only where the table of transitions says so",
    ),
    tested(
        "M2",
        "an organization has at most one membership in another, whose episodes only grow",
    ),
    tested("M3", "no organization is a member of itself"),
    tested(
        "M4",
        "a proxy user is active as long as its membership is approved",
    ),
    tested(
        "M5",
        "a membership has at most one proxy user ever, and no id is used again",
    ),
    tested(
        "M6",
        "who is approved again has what a first-time member would have, and nothing from before",
    ),
    tested(
        "M7",
        "a claim after an end succeeds only if the host's policy for that end allows it",
    ),
    tested("M8", "an approval names what it gave, and that was given"),
    tested(
        "M9",
        "the host's side acts through its own people: no proxy user, and nobody of the member",
    ),
    tested(
        "M10",
        "the member's side acts through its own people, and ends only its own membership",
    ),
    tested(
        "M11",
        "without a creator who may still give what it gives, a link approves nobody",
    ),
    tested(
        "M12",
        "nobody gives more than they may, when a link is made, claimed and approved",
    ),
    tested(
        "M13",
        "a decision that begins after a removal was committed is no",
    ),
    tested(
        "M14",
        "revisions grow by one with each commit, which is made only on what was read",
    ),
    tested(
        "M15",
        "a command with the same key has its effect once and its answer each time; with another body it is refused",
    ),
    tested(
        "M16",
        "what happens at once on one link or membership could have happened one by one",
    ),
    tested(
        "M17",
        "once an organization is deleted, nobody gets anywhere through it, as a host or as a member",
    ),
    tested(
        "M18",
        "quotas are kept in the commit that counts, and count those who wait",
    ),
    tested(
        "P1",
        "without a grant that fits, and after an error, the answer is no",
    ),
    tested("P2", "one grant or group more never takes anything away"),
    tested(
        "P3",
        "neither the order of grants and groups nor their repetition matters",
    ),
    tested(
        "P4",
        "a user has what is granted to the user, to its groups and to its organization, and nothing else",
    ),
    tested(
        "P5",
        "a grant on a prefix covers what is below it; one on a key that key alone",
    ),
    tested(
        "P6",
        "a proxy user has what its host gave it, as long as it is a member",
    ),
    tested(
        "P7",
        "what another organization does changes no decision here, but through its membership",
    ),
    tested(
        "P8",
        "`@org/key` is decided as the proxy user's own key is there, and never here",
    ),
    tested(
        "P9",
        "an address goes to one organization and not on from there",
    ),
    tested(
        "P10",
        "a proxy user manages nothing, whatever it was granted",
    ),
    tested(
        "P11",
        "lists and counts show what the one who asks may see, and nothing of the rest",
    ),
    tested(
        "P12",
        "a grant outside the grammar is refused when it is written, and fits nothing when it is read",
    ),
    tested("P13", "a key has one spelling"),
    tested(
        "P14",
        "after a user's groups are set, they are those and no others",
    ),
    tested(
        "P15",
        "taking away needs the same authority as giving, on every path",
    ),
    tested(
        "P16",
        "what may be made with a value may be changed to it, and the other way round",
    ),
    tested("P17", "an id of another organization is not found"),
    tested("P18", "every yes names a grant that gives it alone"),
    tested(
        "P19",
        "a name leads a member to the organization that it joined, whoever has the name now",
    ),
    tested(
        "P20",
        "groups are no circle when they are written, and one that is stored does no harm; no decision looks at all grants",
    ),
    tested("D1", "after a crash at any instant all of these hold"),
    tested("D2", "what was acknowledged is there after a crash"),
    tested("D3", "the log leads to the rows"),
    tested(
        "D4",
        "a change and its events are stored together, once, and numbered without a gap",
    ),
    tested(
        "D5",
        "a consumer of the log gets every event at least once and in order",
    ),
    tested(
        "D6",
        "a command whose outcome is unknown has its first outcome when it is run again",
    ),
    tested("D7", "all stores answer alike"),
    tested(
        "D8",
        "what fails on the way is tried again or told as such, and has no effect by half or twice",
    ),
    tested("D9", "a call that is dropped has happened or has not"),
    tested("D10", "the tables refuse rows that can't be"),
    tested("D11", "a database of an earlier version goes on as it was"),
    tested("D12", "times of events never go back"),
    tested(
        "D13",
        "a change to the log in the middle is noticed where it is chained",
    ),
    tested(
        "R1",
        "nothing that comes in makes anything panic or overflow",
    ),
    tested("R2", "what is too long is refused before it is read"),
    tested("R3", "no more is allocated than was sent"),
    tested("R4", "without randomness nothing is written"),
    held(
        "R5",
        "no unsafe code",
        "`unsafe_code = \"forbid\"` in all crates",
    ),
    held(
        "R6",
        "futures can be sent to other threads, and no lock is held while one waits",
        "the compiler, with `guestlist/tests/types` and clippy's `await_holding_lock`",
    ),
    tested("R7", "retries, pages and all that is counted have a bound"),
];
