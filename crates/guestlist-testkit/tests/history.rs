//! The search for an order, against every order there is.

#![expect(clippy::unwrap_used, reason = "a test fails where it is wrong")]

use std::sync::Arc;

use guestlist_testkit::history::{Call, Recorder, Specification, linearize};
use proptest::prelude::*;
use proptest::sample::Index;

/// A cell that is written and compared.
struct Cell {
    last: Option<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Write(u8),
    Read,
    Replace { if_is: u8, by: u8 },
}

impl Specification for Cell {
    type State = u8;
    type Operation = Operation;
    type Answer = Option<u8>;

    fn apply(&self, state: &u8, operation: &Operation) -> (u8, Option<u8>) {
        match *operation {
            Operation::Write(value) => (value, None),
            Operation::Replace { if_is, by } if if_is == *state => (by, Some(if_is)),
            Operation::Read | Operation::Replace { .. } => (*state, Some(*state)),
        }
    }

    fn may_end_in(&self, state: &u8) -> bool {
        self.last.is_none_or(|last| last == *state)
    }
}

type History = Vec<Call<Operation, Option<u8>>>;

fn arb_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        (0_u8..3).prop_map(Operation::Write),
        Just(Operation::Read),
        (0_u8..3, 0_u8..3).prop_map(|(if_is, by)| Operation::Replace { if_is, by }),
    ]
}

/// At most six calls that begin and are answered in any order. Answers are those of a cell that
/// does one after the other, and now and then any.
fn arb_history() -> impl Strategy<Value = History> {
    let call = (
        arb_operation(),
        any::<Index>(),
        any::<Index>(),
        0_u8..8,
        0_u8..3,
    );
    proptest::collection::vec(call, 1..7).prop_map(|calls| {
        let mut ends: Vec<(usize, bool)> = Vec::new();
        for (number, (_, begins, ends_at, ..)) in calls.iter().enumerate() {
            let begins = begins.index(ends.len() + 1);
            ends.insert(begins, (number, true));
            let after = begins + 1 + ends_at.index(ends.len() - begins);
            ends.insert(after, (number, false));
        }
        let tick = |number, begins| {
            let at = ends
                .iter()
                .position(|end| *end == (number, begins))
                .unwrap();
            u64::try_from(at).unwrap()
        };
        let mut state = 0;
        calls
            .iter()
            .enumerate()
            .map(|(number, (operation, _, _, luck, any))| {
                let (after, answer) = Cell { last: None }.apply(&state, operation);
                state = after;
                let answer = match luck {
                    0 => Some(Some(*any)),
                    1 => None,
                    _ => Some(answer),
                };
                Call {
                    operation: *operation,
                    begun: tick(number, true),
                    answered: answer.map(|answer| (tick(number, false), answer)),
                }
            })
            .collect()
    })
}

/// Tries every order of every part of the history that holds all answered calls.
fn by_force(register: &Cell, history: &History, state: u8, left: &[usize]) -> bool {
    let all_answered = left.iter().all(|place| history[*place].answered.is_none());
    if all_answered && register.may_end_in(&state) {
        return true;
    }
    left.iter().any(|place| {
        let call = &history[*place];
        let in_time = left.iter().all(|other| {
            let answered = history[*other].answered.map(|(at, _)| at);
            answered.is_none_or(|at| call.begun < at)
        });
        let (after, answer) = register.apply(&state, &call.operation);
        let fits = call.answered.is_none_or(|(_, seen)| seen == answer);
        let rest: Vec<usize> = left
            .iter()
            .copied()
            .filter(|other| other != place)
            .collect();
        in_time && fits && by_force(register, history, after, &rest)
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 4000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn an_order_is_found_iff_there_is_one(
        history in arb_history(),
        last in proptest::option::weighted(0.3, 0_u8..3),
    ) {
        let register = Cell { last };
        let all: Vec<usize> = (0..history.len()).collect();
        let found = linearize(&register, 0, &history);
        prop_assert_eq!(found.is_ok(), by_force(&register, &history, 0, &all));
        // What is found is one: it is in time, and each answer is the one that was seen.
        for (place, call) in found.iter().flatten().enumerate() {
            let order = found.as_ref().unwrap();
            for later in &order[place + 1..] {
                let answered = history[*later].answered.map(|(at, _)| at);
                prop_assert!(answered.is_none_or(|at| history[*call].begun < at));
            }
        }
        let mut state = 0;
        for call in found.iter().flatten() {
            let (after, answer) = register.apply(&state, &history[*call].operation);
            prop_assert!(history[*call].answered.is_none_or(|(_, seen)| seen == answer));
            state = after;
        }
        if found.is_ok() {
            prop_assert!(register.may_end_in(&state));
        }
    }
}

/// Both answers come up: a property of histories that are all alike proves nothing.
#[test]
fn histories_are_of_both_kinds() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let (mut explained, mut not) = (0, 0);
    for _ in 0..500 {
        let history = arb_history().new_tree(&mut runner).unwrap().current();
        match linearize(&Cell { last: None }, 0, &history) {
            Ok(_) => explained += 1,
            Err(_) => not += 1,
        }
    }
    println!("{explained} histories have an order, {not} have none");
    assert!(explained > 50 && not > 50);
}

#[test]
fn a_stale_read_is_told() {
    let recorder = Recorder::new();
    let write = recorder.begin(Operation::Write(1));
    recorder.answer(write, None);
    let read = recorder.begin(Operation::Read);
    recorder.answer(read, Some(0));
    let history = recorder.into_history();
    let error = linearize(&Cell { last: None }, 0, &history).unwrap_err();
    assert_eq!(error.explained, [0]);
    assert!(error.to_string().contains("no order explains"));
}

#[test]
fn a_call_without_an_answer_happened_or_did_not() {
    for (seen, order) in [(0, vec![1]), (1, vec![0, 1])] {
        let recorder = Recorder::new();
        let _cut = recorder.begin(Operation::Write(1));
        let read = recorder.begin(Operation::Read);
        recorder.answer(read, Some(seen));
        let history = recorder.into_history();
        assert_eq!(linearize(&Cell { last: None }, 0, &history), Ok(order));
    }
}

#[test]
fn a_long_history_of_many_threads_is_explained() {
    let recorder = Arc::new(Recorder::new());
    let register = Arc::new(std::sync::Mutex::new(0_u8));
    let threads: Vec<_> = (0..4_u8)
        .map(|thread| {
            let (recorder, register) = (Arc::clone(&recorder), Arc::clone(&register));
            std::thread::spawn(move || {
                for number in 0..50_u8 {
                    let operation = match number % 3 {
                        0 => Operation::Write(number % 5),
                        1 => Operation::Read,
                        _ => Operation::Replace {
                            if_is: number % 5,
                            by: thread,
                        },
                    };
                    let call = recorder.begin(operation);
                    let answer = {
                        let mut state = register.lock().unwrap();
                        let (after, answer) = Cell { last: None }.apply(&state, &operation);
                        *state = after;
                        answer
                    };
                    recorder.answer(call, answer);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let last = Some(*register.lock().unwrap());
    let history = Arc::into_inner(recorder).unwrap().into_history();
    assert_eq!(history.len(), 200);
    linearize(&Cell { last }, 0, &history).unwrap();
}
