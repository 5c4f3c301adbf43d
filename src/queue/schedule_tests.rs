use super::*;

fn schedule(total: usize, per_destination: usize) -> Schedule {
    Schedule::new(Concurrency {
        total,
        per_destination,
    })
}

fn silence() -> Heard {
    let reply = "451 4.4.1 nobody there".to_owned();
    Heard::Silence { reply }
}

/// The destinations that get a worker now, in order.
fn begun(schedule: &Schedule, now: Millis) -> Vec<Slot> {
    std::iter::from_fn(|| schedule.begin(now).ok()).collect()
}

fn waiting(state: &State) -> usize {
    state.waiting.arrivals.len() + state.waiting.backlog.len()
}

fn names(slots: &[Slot]) -> Vec<&str> {
    slots.iter().map(|slot| &**slot.destination()).collect()
}

#[test]
fn who_is_due_first_comes_first_and_each_once() {
    let schedule = schedule(10, 20);
    for (name, at) in [
        ("b.test", 20),
        ("a.test", 30),
        ("c.test", 10),
        ("b.test", 25),
    ] {
        schedule.due(name, at);
    }
    assert_eq!(schedule.begin(9).unwrap_err(), Some(10));
    let slots = begun(&schedule, 29);
    assert_eq!(names(&slots), ["c.test", "b.test"]);
    assert_eq!(schedule.begin(29).unwrap_err(), Some(30));
    assert_eq!(schedule.active(), 2);
    drop(slots);
    assert_eq!(schedule.active(), 0);
    assert_eq!(names(&begun(&schedule, 30)), ["a.test"]);
    assert_eq!(schedule.begin(30).unwrap_err(), None);
}

#[test]
fn a_destination_has_a_bounded_number_of_workers() {
    let schedule = schedule(100, 3);
    let mut slots = Vec::new();
    for _ in 0..5 {
        slots.extend(schedule.begin_at_once("a.test", 1));
    }
    assert_eq!(slots.len(), 3);
    schedule.due("a.test", 1);
    assert!(schedule.begin(1).is_err(), "it has as many as it may have");
    assert!(
        schedule.begin_at_once("b.test", 1).is_some(),
        "others go on"
    );
    slots.pop();
    assert_eq!(names(&begun(&schedule, 1)), ["a.test"]);
}

#[test]
fn workers_grow_with_success_up_to_their_limit() {
    let schedule = schedule(100, 8);
    let mut slots: Vec<Slot> = (0..10)
        .filter_map(|_| schedule.begin_at_once("a.test", 1))
        .collect();
    assert_eq!(slots.len(), FIRST_WORKERS);
    for _ in 0..20 {
        assert_eq!(slots[0].heard(Heard::Answer, |_| 0), Turn::None);
    }
    slots.extend((0..10).filter_map(|_| schedule.begin_at_once("a.test", 1)));
    assert_eq!(slots.len(), 8);
}

#[test]
fn all_workers_are_bounded_and_waiting_destinations_get_their_turn() {
    let schedule = schedule(2, 20);
    let first = schedule.begin_at_once("a.test", 1).unwrap();
    let second = schedule.begin_at_once("a.test", 1).unwrap();
    assert!(schedule.begin_at_once("b.test", 1).is_none());
    assert!(first.may_go_on(5));
    schedule.due("b.test", 4);
    assert!(
        !first.may_go_on(5),
        "another destination waits for a worker"
    );
    assert!(first.may_go_on(3), "not yet");
    assert_eq!(schedule.begin(5).unwrap_err(), None);
    drop(first);
    assert_eq!(names(&begun(&schedule, 5)), ["b.test"]);
    drop(second);
}

#[test]
fn new_mail_takes_turns_with_a_backlog() {
    let schedule = schedule(1, 20);
    for name in ["old1.test", "old2.test", "old3.test", "old4.test"] {
        schedule.due(name, 1);
    }
    let mut turns = Vec::new();
    for now in 10..16 {
        if now < 12 {
            schedule.arrived(&format!("new{now}.test"), now);
        }
        let slot = schedule.begin(now).unwrap();
        turns.push(slot.destination().to_string());
    }
    assert_eq!(
        turns,
        [
            "new10.test",
            "old1.test",
            "new11.test",
            "old2.test",
            "old3.test",
            "old4.test"
        ]
    );
    // What is left of it then is backlog, and what is not due takes nobody's turn.
    schedule.arrived("new.test", 20);
    schedule.due("later.test", 30);
    assert_eq!(schedule.begin(19).unwrap_err(), Some(20));
    assert_eq!(names(&begun(&schedule, 20)), ["new.test"]);
    schedule.arrived("new.test", 40);
    assert_eq!(names(&begun(&schedule, 35)), ["later.test"]);
}

#[test]
fn a_destination_that_answers_nobody_is_left_alone_and_probed_by_one() {
    let schedule = schedule(100, 20);
    let slots: Vec<Slot> = (0..5)
        .filter_map(|_| schedule.begin_at_once("a.test", 1))
        .collect();
    for slot in &slots {
        // Five that were under way together have failed once.
        assert_eq!(
            slot.heard(silence(), |failures| 100 * Millis::from(failures)),
            Turn::None
        );
    }
    assert_eq!(schedule.suspension("a.test").unwrap().until, 100);
    assert!(slots.iter().all(|slot| !slot.may_go_on(1)));
    schedule.due("a.test", 1);
    drop(slots);
    assert!(schedule.begin_at_once("a.test", 99).is_none());
    assert_eq!(schedule.begin(99).unwrap_err(), Some(100));
    // One probe, with one message.
    let probe = begun(&schedule, 100);
    assert_eq!(names(&probe), ["a.test"]);
    assert_eq!(probe[0].batch(10), 1);
    schedule.due("a.test", 1);
    assert!(schedule.begin(100).is_err());
    probe[0].heard(silence(), |failures| 100 + 100 * Millis::from(failures));
    assert_eq!(
        schedule.suspension("a.test").unwrap().until,
        300,
        "twice in a row"
    );
    drop(probe);
    // It answers.
    let probe = begun(&schedule, 300);
    assert_eq!(probe[0].heard(Heard::Answer, |_| 0), Turn::Recovered);
    assert_eq!(schedule.suspension("a.test"), None);
    assert_eq!(probe[0].batch(10), 10);
    assert!(schedule.begin_at_once("a.test", 300).is_some());
    assert_eq!(probe[0].heard(Heard::Answer, |_| 0), Turn::None);
}

#[test]
fn who_goes_on_after_a_suspension_is_the_probe() {
    let schedule = schedule(100, 20);
    let slow = schedule.begin_at_once("a.test", 1).unwrap();
    let quick = schedule.begin_at_once("a.test", 1).unwrap();
    quick.heard(silence(), |_| 100);
    drop(quick);
    schedule.due("a.test", 1);
    // The long attempt that was under way ends, and says nothing of the host.
    slow.heard(Heard::Nothing, |_| 0);
    assert!(!slow.may_go_on(99));
    assert!(slow.may_go_on(100));
    // Else all that it takes up is given back at once, over and over: there is no place for another worker.
    assert_eq!(schedule.suspension("a.test"), None);
    assert_eq!(slow.batch(10), 1);
    slow.heard(silence(), |failures| 100 + 100 * Millis::from(failures));
    assert_eq!(
        schedule.suspension("a.test").unwrap().until,
        300,
        "twice in a row"
    );
}

#[test]
fn a_suspension_can_be_lifted_by_hand() {
    let schedule = schedule(100, 20);
    let slot = schedule.begin_at_once("a.test", 1).unwrap();
    slot.heard(silence(), |_| 1000);
    schedule.due("a.test", 5);
    drop(slot);
    schedule.resume("a.test");
    assert_eq!(schedule.suspension("a.test"), None);
    assert_eq!(names(&begun(&schedule, 5)), ["a.test"]);
    schedule.resume("unknown.test");
}

#[test]
fn what_nobody_waits_for_is_forgotten() {
    let schedule = schedule(100, 20);
    for n in 0..1000 {
        drop(schedule.begin_at_once(&format!("d{n}.test"), 1).unwrap());
    }
    let state = schedule.lock();
    assert_eq!((state.destinations.len(), waiting(&state)), (0, 0));
}

proptest::proptest! {
    /// However events follow each other, the books are right.
    #[test]
    fn whatever_happens_nothing_is_lost(steps in proptest::collection::vec((0u8..8, 0usize..4, 0u64..50), 0..200)) {
        let schedule = schedule(4, 3);
        let names = ["a.test", "b.test", "c.test", "d.test"];
        let mut slots: Vec<Slot> = Vec::new();
        let mut now = 0;
        for (what, which, number) in steps {
            match what {
                0 => schedule.due(names[which], now + number),
                1 => slots.extend(schedule.begin_at_once(names[which], now)),
                2 => slots.extend(schedule.begin(now)),
                3 if !slots.is_empty() => drop(slots.remove(which % slots.len())),
                4 => for slot in &slots { slot.heard(silence(), |_| now + number); },
                5 => for slot in &slots { slot.heard(Heard::Answer, |_| 0); },
                6 => schedule.arrived(names[which], now),
                _ => now += number,
            }
            let state = schedule.lock();
            let active: usize = state.destinations.values().map(|d| d.active).sum();
            proptest::prop_assert_eq!(active, slots.len());
            proptest::prop_assert_eq!(state.active, slots.len());
            proptest::prop_assert!(state.active <= 4);
            let wanted = state.destinations.values().filter(|d| d.wake().is_some()).count();
            proptest::prop_assert_eq!(waiting(&state), wanted);
        }
        // In the end everything that is due gets its worker.
        drop(slots);
        schedule.resume("a.test");
        let due = schedule.lock().destinations.values().filter(|d| d.due.is_some()).count();
        let mut begun = 0;
        while let Ok(slot) = schedule.begin(Millis::MAX) {
            begun += 1;
            drop(slot);
        }
        proptest::prop_assert_eq!(begun, due);
    }
}
