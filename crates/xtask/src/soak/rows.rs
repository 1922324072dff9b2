//! The rows.

use super::{Row, Runs, Tests};

const fn tests(
    package: &'static str,
    target: &'static str,
    names: &'static [&'static str],
) -> Tests {
    Tests {
        package,
        target,
        names,
    }
}

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "F1",
        checks: "random commands, the clock among them, beside a naive model of the whole system: the same answers, \
            the same views, every invariant after each step (all that one state shows, D7, T8, D12)",
        runs: Runs::Rounds(&[tests("guestlist-testkit", "model", &["the_model_agrees"])]),
        unit: "sequences",
        usual: 200,
        night: 50_000,
        release: 500_000,
        piece: 500,
    },
    Row {
        name: "F2",
        checks: "random commands in memory and on SQLite, in a file and without: the same replies, events, lists \
            and decisions (D7), and the log folds to the rows (D3)",
        runs: Runs::Rounds(&[tests(
            "guestlist",
            "differential",
            &["memory_and_sqlite_answer_alike"],
        )]),
        unit: "sequences",
        usual: 400,
        night: 50_000,
        release: 500_000,
        piece: 2_500,
    },
    Row {
        name: "F3",
        checks: "the same on PostgreSQL, with four ways to commit and to lay out its tables (D3, D7, D8)",
        runs: Runs::Rounds(&[tests(
            "guestlist",
            "differential",
            &["memory_sqlite_and_postgres_answer_alike"],
        )]),
        unit: "sequences",
        usual: 300,
        night: 10_000,
        release: 100_000,
        piece: 500,
    },
    Row {
        name: "F4",
        checks: "every state of a small world within some steps: two clients at once, stale, lost and repeated commits, \
            a clock that steps back; every rule of a state and of a step, and each transition reached (M1 to M7, T2 \
            to T9, M14, M15, D3)",
        runs: Runs::Rounds(&[tests(
            "guestlist-testkit",
            "explore",
            &["every_state_keeps_the_rules"],
        )]),
        // Each seed is another world, up to 288.
        unit: "states reached",
        usual: 40_000,
        night: 20_000_000,
        release: 100_000_000,
        piece: 1_000_000,
    },
    Row {
        name: "F5",
        checks: "commands that are given at once over the store in memory, in drawn schedules and with few changes of \
            turn: limits are exact (T9), replaced tokens dead (T5), a key stands for one command (M15), moves are in \
            some order (M16); and all that wait in `Together` are answered",
        runs: Runs::Rounds(&[
            tests(
                "guestlist",
                "schedules",
                &[
                    "keys_stand_for_one_command_in_every_schedule",
                    "limits_are_exact_in_every_schedule",
                    "moves_are_in_some_order_in_every_schedule",
                    "replaced_tokens_are_dead_in_every_schedule",
                ],
            ),
            tests(
                "guestlist-store",
                "schedules",
                &[
                    "everybody_is_answered_in_every_schedule",
                    "nobody_is_left_waiting_in_any_schedule",
                ],
            ),
        ]),
        unit: "schedules of each kind",
        usual: 5_000,
        night: 1_250_000,
        release: 12_500_000,
        piece: 25_000,
    },
    Row {
        name: "F6",
        checks: "64 claim at once through a link with fewer, as many and more uses: exactly as many get in as may \
            (T9), each once (T10, M2)",
        runs: Runs::Rounds(&[tests("guestlist", "storms", &["limits_hold_on_postgres"])]),
        unit: "storms",
        usual: 50,
        night: 5_000,
        release: 100_000,
        piece: 250,
    },
    Row {
        name: "F7",
        checks: "a link is refreshed, disabled, enabled and left to expire while 24 claim: no claim is committed \
            with a token that had ended (T5, T6, T8)",
        runs: Runs::Rounds(&[tests(
            "guestlist",
            "races",
            &["ends_of_tokens_hold_on_postgres"],
        )]),
        // With at least 24 claims each.
        unit: "changes",
        usual: 100,
        night: 14_000,
        release: 170_000,
        piece: 500,
    },
    Row {
        name: "F8",
        checks: "approve, cancel, remove, leave and claim at once on the same memberships: what was answered is what \
            some order of them gives (M16), and proxy users follow (M4)",
        runs: Runs::Rounds(&[tests(
            "guestlist",
            "races",
            &["histories_are_in_some_order_on_postgres"],
        )]),
        unit: "histories",
        usual: 1_000,
        night: 100_000,
        release: 1_000_000,
        piece: 2_500,
    },
    Row {
        name: "F9",
        checks: "`kill -9` of a process that claims on SQLite and reads the log: what was acknowledged is there (D2), \
            nothing is there by half (D1), the log folds to the rows (D3), and no event was passed over (D4, D5)",
        runs: Runs::Rounds(&[tests("guestlist", "crash", &["kill_nine"])]),
        unit: "kills",
        usual: 100,
        night: 10_000,
        release: 100_000,
        piece: 500,
    },
    Row {
        name: "F10",
        checks: "the write-ahead log of SQLite is cut at any byte, or a bit of it is turned: a prefix of the commits \
            is left, each whole (D1, D3)",
        runs: Runs::Rounds(&[tests(
            "guestlist-sqlite",
            "crash",
            &["a_torn_log_leaves_whole_commits"],
        )]),
        unit: "torn logs",
        usual: 120,
        night: 10_000,
        release: 50_000,
        piece: 1_000,
    },
    Row {
        name: "F11",
        checks: "`kill -9` of a PostgreSQL server under commits, and its start (D1, D2, D3, D4, D6)",
        runs: Runs::Rounds(&[tests(
            "guestlist-postgres",
            "crash",
            &["acknowledged_commits_survive_a_kill"],
        )]),
        unit: "times 3 kills",
        usual: 1,
        night: 67,
        release: 334,
        piece: 7,
    },
    Row {
        name: "F12",
        checks: "the connection to PostgreSQL is cut at a byte before, in and after a COMMIT, or its backend is \
            terminated: the outcome is unknown, and sending the same commit again tells it (D6, D8, M15)",
        runs: Runs::Rounds(&[tests(
            "guestlist-postgres",
            "cuts",
            &[
                "a_cut_at_any_byte_leaves_all_or_nothing",
                "an_answer_that_is_lost_is_an_unknown_outcome",
                "backends_are_terminated_while_commits_run",
            ],
        )]),
        unit: "times 78 cuts",
        usual: 1,
        night: 130,
        release: 1_300,
        piece: 10,
    },
    Row {
        name: "F13",
        checks: "deadlocks, serialization failures, and an error at every statement in turn: a retry or a typed \
            error, and nothing by half (D8, T11)",
        runs: Runs::Times(&[
            tests(
                "guestlist-postgres",
                "interrupts",
                &[
                    "a_deadlock_is_broken_wherever_it_comes",
                    "a_serialization_failure_is_retried_or_passed_up",
                    "an_error_at_any_write_leaves_nothing",
                ],
            ),
            tests(
                "guestlist-sqlite",
                "faults",
                &["an_error_at_any_statement_leaves_nothing"],
            ),
        ]),
        unit: "times every statement",
        usual: 1,
        night: 1_000,
        release: 10_000,
        piece: 50,
    },
    Row {
        name: "F14",
        checks: "a disk that is full wherever SQLite writes next, no space for a schema, and what may only be \
            read: a typed error, and what was acknowledged stays (D1, D2, T11)",
        runs: Runs::Rounds(&[
            tests(
                "guestlist-sqlite",
                "crash",
                &["a_full_disk_keeps_what_was_acknowledged"],
            ),
            tests(
                "guestlist-sqlite",
                "store",
                &["a_full_disk_changes_nothing"],
            ),
            tests(
                "guestlist-sqlite",
                "migrations",
                &[
                    "a_full_disk_leaves_no_half_schema",
                    "what_cant_be_written_says_so",
                ],
            ),
        ]),
        unit: "full disks",
        usual: 8,
        night: 500,
        release: 2_000,
        piece: 100,
    },
    Row {
        name: "F15",
        checks: "a caller goes away at every point where it waits: all or nothing, and the pool stays usable (D9)",
        runs: Runs::Rounds(&[tests(
            "guestlist-postgres",
            "interrupts",
            &[
                "a_caller_that_goes_away_leaves_all_or_nothing",
                "a_caller_that_goes_away_from_a_transaction_leaves_it_to_its_owner",
                "a_reader_that_goes_away_leaves_the_pool_usable",
            ],
        )]),
        unit: "times every await",
        usual: 1,
        night: 100,
        release: 1_000,
        piece: 10,
    },
    Row {
        name: "F17",
        checks: "calls with a key arrive up to five times, late and in another order: each happens once and \
            gives its first answer again, the key with another command is refused, and all that is stored is \
            what it would be without the repetitions, to the byte (M15, T5)",
        runs: Runs::Rounds(&[tests(
            "guestlist",
            "delivery",
            &["calls_that_arrive_again_change_nothing"],
        )]),
        unit: "worlds",
        usual: 150,
        night: 20_000,
        release: 200_000,
        piece: 2_500,
    },
    Row {
        name: "F18",
        checks: "a consumer of the feed dies anywhere between reading, dealing with events and acknowledging \
            them: it misses none and meets all in order (D5)",
        runs: Runs::Rounds(&[tests(
            "guestlist",
            "feed",
            &[
                "a_consumer_that_dies_anywhere_misses_nothing_in_memory",
                "a_consumer_that_dies_anywhere_misses_nothing_on_sqlite",
            ],
        )]),
        unit: "lives",
        usual: 200,
        night: 10_000,
        release: 100_000,
        piece: 2_500,
    },
    Row {
        name: "F19",
        checks: "malformed tokens and join links: no panic (R1), refused early and without much memory (R2, R3), \
            one spelling for each token (T13)",
        runs: Runs::Fuzz(&["token_parse", "join_url_parse"]),
        unit: "executions of each",
        usual: 0,
        night: 10_000_000,
        release: 100_000_000,
        piece: 1_000_000,
    },
    Row {
        name: "F20",
        checks: "malformed keys, patterns, grants and `@org/key`, and decisions against brute force (P5, P8, P9, \
            P12, P13, P4)",
        runs: Runs::Fuzz(&[
            "key_parse",
            "grant_parse",
            "addr_parse",
            "resolve_vs_bruteforce",
        ]),
        unit: "executions of each",
        usual: 0,
        night: 5_000_000,
        release: 100_000_000,
        piece: 250_000,
    },
    Row {
        name: "F21",
        checks: "lists of commands against a reference, logs that are replayed, and rows of any bytes (D3, R1)",
        runs: Runs::Fuzz(&["cmd_vs_reference", "events_replay", "storage_row_decode"]),
        unit: "executions of each",
        usual: 0,
        night: 1_000_000,
        release: 200_000_000,
        piece: 50_000,
    },
    Row {
        name: "F22",
        checks: "more than 5 000 texts that look alike, fold or compose to each other, or hold what is not \
            seen, in every parser and on every store: none passes for another (P13, D10)",
        runs: Runs::Times(&[tests(
            "guestlist",
            "confusables",
            &[
                "handles_and_ids_are_ascii",
                "a_pattern_covers_its_own_spelling_and_no_other",
                "nothing_passes_for_another_in_memory",
                "nothing_passes_for_another_on_sqlite",
                "nothing_passes_for_another_on_postgres",
            ],
        )]),
        unit: "times all",
        usual: 1,
        night: 2,
        release: 5,
        piece: 1,
    },
    Row {
        name: "F23",
        checks: "groups as deep and as full, grants as many and keys as long as they may be, and tokens far \
            too long: bounded in time and memory (R2, R3, R7, P20)",
        runs: Runs::Times(&[
            tests(
                "guestlist-access",
                "bounds",
                &[
                    "a_million_grants_alike_are_looked_at_once",
                    "a_group_has_as_many_members_as_it_likes",
                    "a_subject_has_as_many_grants_as_it_likes",
                    "a_user_is_in_as_many_groups_as_it_likes",
                    "groups_nest_as_deep_as_they_like",
                    "keys_and_patterns_at_their_bounds",
                ],
            ),
            tests(
                "guestlist",
                "incidents",
                &["token_lifetime::oversized_input_is_refused_unread"],
            ),
        ]),
        unit: "times all",
        usual: 1,
        night: 2,
        release: 5,
        piece: 1,
    },
    Row {
        name: "F24",
        checks: "every id in every command is replaced by one of another organization, and every command is \
            sent to an organization that the actor has nothing to do with: the answer is that of an id of \
            nothing (P7, P17)",
        runs: Runs::Rounds(&[tests(
            "guestlist-membership",
            "tenants",
            &["ids_of_another_organization_are_like_ids_of_nothing"],
        )]),
        unit: "worlds",
        usual: 100,
        night: 20_000,
        release: 200_000,
        piece: 2_500,
    },
    Row {
        name: "F25",
        checks: "any roles with any rights, and people who are demoted or removed between making a link, the \
            claim and the approval: nobody gives or takes more than they hold at that moment (M9, M11, M12)",
        runs: Runs::Rounds(&[tests(
            "guestlist-membership",
            "ceilings",
            &["nobody_gives_or_takes_more_than_they_hold"],
        )]),
        unit: "worlds",
        usual: 1_000,
        night: 200_000,
        release: 2_000_000,
        piece: 5_000,
    },
    Row {
        name: "F26",
        checks: "8 ask while memberships are removed: a decision that starts after the removal is a refusal (M13)",
        runs: Runs::Rounds(&[tests(
            "guestlist",
            "races",
            &["removals_are_seen_at_once_on_postgres"],
        )]),
        unit: "removals",
        usual: 1_000,
        night: 50_000,
        release: 500_000,
        piece: 2_500,
    },
    Row {
        name: "F27",
        checks: "any value is written into any column of any row by hand: it is refused (D10), found or \
            harmless, no token opens what it was not made for (T14, T15), and the hash chain breaks if and \
            only if the log says something else (D13)",
        runs: Runs::Rounds(&[tests(
            "guestlist",
            "tampering",
            &["whatever_is_written_by_hand_is_refused_found_or_harmless"],
        )]),
        unit: "edits",
        usual: 150,
        night: 20_000,
        release: 200_000,
        piece: 2_500,
    },
    Row {
        name: "F28",
        checks: "more than 200 tokens are used in every way there is; then logs, files, events, webhooks, \
            mails and errors are searched for each of them, in any encoding (T12)",
        runs: Runs::Times(&[tests(
            "guestlist",
            "leaks",
            &[
                "no_secret_is_left_over_memory",
                "no_secret_is_left_over_sqlite",
            ],
        )]),
        unit: "times 200 tokens",
        usual: 1,
        night: 100,
        release: 1_000,
        piece: 5,
    },
    Row {
        name: "F29",
        checks: "a generator that fails at each of its calls in turn, or gives zeros, ones or a short period: \
            a typed error and nothing written (R4, T1)",
        runs: Runs::Times(&[
            tests(
                "guestlist",
                "entropy",
                &[
                    "a_generator_that_fails_at_any_call_leaves_nothing",
                    "no_token_is_made_of_what_no_generator_gives",
                ],
            ),
            tests(
                "guestlist",
                "incidents",
                &["operations::a_generator_that_is_stuck_makes_no_token"],
            ),
            tests(
                "guestlist-token",
                "lib",
                &[
                    "token::tests::a_failing_generator_is_an_error_at_any_call",
                    "token::tests::a_constant_generator_is_stuck",
                    "token::tests::a_generator_of_short_period_is_stuck",
                    "token::tests::any_generator_gives_a_token_or_an_error",
                ],
            ),
        ]),
        unit: "times all",
        usual: 1,
        night: 2,
        release: 5,
        piece: 1,
    },
    Row {
        name: "F30",
        checks: "what verifying a token takes, in optimised builds, by Welch's t-test: nothing tells where a tag \
            differs, and an unknown selector is within 5 % of a known one (T17); comparisons that stop early are \
            noticed",
        runs: Runs::Rounds(&[tests(
            "guestlist-token",
            "timing",
            &[
                "a_comparison_that_stops_early_is_noticed",
                "an_unknown_selector_takes_as_long_as_a_known_one",
                "an_unknown_selector_without_a_digest_is_noticed",
                "where_a_tag_differs_takes_no_time",
            ],
        )]),
        unit: "samples of each kind",
        usual: 0,
        night: 1_000_000,
        release: 10_000_000,
        piece: 1_000_000,
    },
    Row {
        name: "F31",
        checks: "databases of the first version, migrations by several processes at once, interrupted, killed and \
            inside a transaction: one schema, and everything that was there (D1, D11)",
        runs: Runs::Times(&[
            tests(
                "guestlist-sqlite",
                "migrations",
                &[
                    "what_the_first_version_wrote_goes_on",
                    "an_old_schema_is_migrated_as_part_of_a_transaction",
                    "several_processes_make_one_database",
                    "many_threads_make_one_database",
                    "a_full_disk_leaves_no_half_schema",
                    "a_process_that_is_killed_while_it_migrates_leaves_all_or_nothing",
                ],
            ),
            tests(
                "guestlist-postgres",
                "migrations",
                &[
                    "an_interrupted_migration_leaves_nothing",
                    "several_processes_make_one_schema",
                    "several_tasks_make_one_schema",
                    "inside_a_transaction_it_is_part_of_it",
                ],
            ),
        ]),
        unit: "times all",
        usual: 1,
        night: 200,
        release: 2_000,
        piece: 10,
    },
    Row {
        name: "F32",
        checks: "everybody claims while one process after another takes up a new pepper: every genuine token \
            works, and once the old pepper is gone those that were never used fail closed (T14)",
        runs: Runs::Rounds(&[tests(
            "guestlist",
            "peppers",
            &[
                "peppers_are_rotated_while_people_claim_in_memory",
                "peppers_are_rotated_while_people_claim_on_sqlite",
            ],
        )]),
        unit: "rotations",
        usual: 50,
        night: 2_000,
        release: 20_000,
        piece: 500,
    },
    Row {
        name: "F33",
        checks: "any changes of access rules, one after the other: after each, the compiled index that follows them \
            is the one that is built anew, and answers what the definition answers (P4, P5)",
        runs: Runs::Rounds(&[tests(
            "guestlist-access",
            "lib",
            &["index::tests::incremental_is_rebuilt_after_every_change"],
        )]),
        unit: "changes",
        usual: 4_000,
        night: 1_000_000,
        release: 10_000_000,
        piece: 100_000,
    },
    Row {
        name: "F34",
        checks: "any changes of any access rules, with chains and floods of as many as an index keeps in another \
            way: the one that follows them and the one that is built anew answer what the definition answers, \
            witnesses and explanations with it (P4, P5)",
        runs: Runs::Fuzz(&["resolve_vs_plain"]),
        unit: "executions",
        usual: 0,
        night: 1_000_000,
        release: 100_000_000,
        piece: 100_000,
    },
    Row {
        name: "F35",
        checks: "tokens of whatever a generator gives: each is parsed, pasted, digested and verified as what it was \
            made as, and as nothing else (T1, T13, T14)",
        runs: Runs::Fuzz(&["token_roundtrip"]),
        unit: "executions",
        usual: 0,
        night: 10_000_000,
        release: 100_000_000,
        piece: 2_500_000,
    },
];
