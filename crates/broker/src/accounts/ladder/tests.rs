use proptest::prelude::*;
use time::macros::datetime;

use super::*;

const START: OffsetDateTime = datetime!(2026-01-19 07:10 UTC);

fn fail(rows: &mut LadderRows, now: OffsetDateTime) -> Verdict {
    let (next, verdict) = attempt(*rows, false, now);
    *rows = next;
    verdict
}

#[test]
fn the_steps_are_those_documented() {
    let mut rows = LadderRows::default();
    let mut now = START;
    let mut seen = Vec::new();
    for _ in 0..12 {
        match fail(&mut rows, now) {
            Verdict::Counted(counted) => seen.push((counted.attempts_remaining, counted.alert.is_some())),
            Verdict::Locked { .. } => panic!("waited long enough"),
        }
        if let Some(until) = rows.own.locked_until {
            seen.push((u32::try_from((until - now).whole_minutes()).unwrap(), false));
            now = until;
        }
    }
    let expected = [2, 1, 0, 15, 2, 1, 0, 60, 3, 2, 1, 0, 1440, 0, 1440, 0, 1440];
    assert_eq!(seen.iter().map(|(n, _)| *n).collect::<Vec<_>>(), expected);
    assert_eq!(seen.iter().filter(|(_, alert)| *alert).count(), 1, "one alert, at the tenth");
    assert!(seen[11].1);
}

#[test]
fn locked_attempts_are_not_counted_and_say_how_long() {
    let mut rows = LadderRows::default();
    for _ in 0..3 {
        fail(&mut rows, START);
    }
    let before = rows;
    assert_eq!(fail(&mut rows, START + Duration::SECOND), Verdict::Locked { retry_after: 899 });
    assert_eq!(fail(&mut rows, START + Duration::milliseconds(899_001)), Verdict::Locked { retry_after: 1 });
    assert_eq!(rows, before);
    assert!(matches!(fail(&mut rows, START + Duration::minutes(15)), Verdict::Counted(_)));
}

#[test]
fn a_day_without_failures_forgets() {
    let mut rows = LadderRows::default();
    fail(&mut rows, START);
    fail(&mut rows, START);
    assert!(!rows.own.is_spent(START + Duration::hours(23)));
    assert!(rows.own.is_spent(START + MEMORY));
    fail(&mut rows, START + MEMORY);
    assert_eq!(rows.own.failures, 1);
}

#[test]
fn thirty_failures_from_anywhere_stop_strangers_only() {
    let mut total = TotalRow::default();
    for n in 0..TOTAL_FAILURES {
        let (rows, verdict) = attempt(LadderRows { own: LadderRow::default(), total }, false, START);
        let Verdict::Counted(counted) = verdict else { panic!("{n} is below the limit") };
        assert_eq!(counted.alert.is_some(), n + 1 == TOTAL_FAILURES);
        total = rows.total;
    }
    let stranger = LadderRows { own: LadderRow::default(), total };
    let later = START + Duration::minutes(10);
    assert_eq!(attempt(stranger, false, later), (stranger, Verdict::Locked { retry_after: 3_000 }));
    assert!(matches!(attempt(stranger, true, later).1, Verdict::Counted(_)), "a live key lifts the limit");
    let known = LadderRows { own: LadderRow { last_success: Some(START), ..LadderRow::default() }, total };
    assert!(matches!(attempt(known, false, later).1, Verdict::Counted(_)), "so does an earlier success");
    assert!(matches!(attempt(stranger, false, START + TOTAL_WINDOW).1, Verdict::Counted(_)));
}

#[test]
fn success_gives_back_one_and_keeps_what_others_did() {
    let total = TotalRow { window_start: Some(START), failures: 7 };
    let rows = LadderRows { own: LadderRow::default(), total };
    let (counted, _) = attempt(rows, false, START);
    let cleared = succeed(counted, START);
    assert_eq!(cleared.total.failures, 7);
    assert_eq!(cleared.own, LadderRow { last_success: Some(START), ..LadderRow::default() });
}

#[test]
fn subjects_depend_on_key_and_name() {
    let (k1, k2) = (SecretBytes::new([1; 32]), SecretBytes::new([2; 32]));
    let (alan, eve) = ("alan".parse().unwrap(), "eve".parse().unwrap());
    assert_eq!(Subject::new(&k1, &alan), Subject::new(&k1, &alan));
    assert_ne!(Subject::new(&k1, &alan), Subject::new(&k1, &eve));
    assert_ne!(Subject::new(&k1, &alan), Subject::new(&k2, &alan));
}

#[test]
fn rates_count_within_their_window() {
    let mut row = RateRow::default();
    for _ in 0..10 {
        row = KNOCK_LIMIT.take(row, START).unwrap();
    }
    assert_eq!(KNOCK_LIMIT.take(row, START + Duration::seconds(20)), Err(40));
    assert_eq!(KNOCK_LIMIT.take(row, START + Duration::MINUTE).unwrap().count, 1);
    let changed = CHANGE_LIMIT.take(RateRow::default(), START).unwrap();
    assert_eq!(CHANGE_LIMIT.take(changed, START), Err(3_600));
}

/// What somebody does at an address: wait, fail, succeed.
#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u32),
    Fail,
    Succeed,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0_u32..100_000).prop_map(Step::Wait),
        6 => Just(Step::Fail),
        1 => Just(Step::Succeed),
    ];
    proptest::collection::vec(step, 0..80)
}

proptest! {
    #[test]
    fn never_unlocks_early(steps in steps()) {
        let mut rows = LadderRows::default();
        let mut now = START;
        let mut locked_until = START;
        for step in steps {
            match step {
                Step::Wait(seconds) => now += Duration::seconds(seconds.into()),
                Step::Fail | Step::Succeed => match fail(&mut rows, now) {
                    Verdict::Counted(_) => {
                        prop_assert!(now >= locked_until, "counted while locked");
                        if matches!(step, Step::Succeed) {
                            rows = succeed(rows, now);
                        }
                        locked_until = rows.own.locked_until.unwrap_or(now);
                    }
                    Verdict::Locked { retry_after } => {
                        let until_total = rows.total.window_start.map_or(now, |s| s + TOTAL_WINDOW);
                        let until = if now < locked_until { locked_until } else { until_total };
                        prop_assert!(now + Duration::seconds(retry_after.into()) >= until);
                    }
                },
            }
        }
    }

    #[test]
    fn failures_only_grow_and_locks_never_shrink(waits in proptest::collection::vec(0_u32..7_200, 1..60)) {
        let mut rows = LadderRows::default();
        let mut now = START;
        for wait in waits {
            now += Duration::seconds(wait.into());
            let before = rows;
            let verdict = fail(&mut rows, now);
            prop_assert!(rows.own.failures >= before.own.failures);
            prop_assert_eq!(
                matches!(verdict, Verdict::Counted(_)),
                rows.own.failures == before.own.failures + 1,
                "counted exactly when it may be verified"
            );
            if let (Some(old), Some(new)) = (before.own.locked_until, rows.own.locked_until) {
                prop_assert!(new >= old);
            }
        }
    }

    #[test]
    fn at_most_thirty_strangers_an_hour(addresses in 1_usize..60, seconds in 0_u32..3_600) {
        let mut total = TotalRow::default();
        let mut verified = 0_u32;
        for n in 0..addresses * 3 {
            let now = START + Duration::seconds((u64::from(seconds) * n as u64 / (addresses as u64 * 3)).cast_signed());
            let (rows, verdict) = attempt(LadderRows { own: LadderRow::default(), total }, false, now);
            total = rows.total;
            verified += u32::from(matches!(verdict, Verdict::Counted(_)));
        }
        prop_assert!(verified <= TOTAL_FAILURES);
    }

    /// Whatever strangers do at other addresses, the owner's next attempt from a known address, or with a key, counts.
    #[test]
    fn the_owner_is_never_locked_out_from_afar(steps in steps(), with_key in any::<bool>()) {
        let mut owner = LadderRow::default();
        if !with_key {
            owner.last_success = Some(START);
        }
        let mut attacker = LadderRow::default();
        let mut total = TotalRow::default();
        let mut now = START;
        for step in steps {
            match step {
                Step::Wait(seconds) => now += Duration::seconds(seconds.into()),
                Step::Fail | Step::Succeed => {
                    let (rows, verdict) = attempt(LadderRows { own: attacker, total }, false, now);
                    (attacker, total) = (rows.own, rows.total);
                    if matches!(verdict, Verdict::Locked { .. }) {
                        attacker = LadderRow::default(); // moves on to another address
                    }
                }
            }
            let (_, verdict) = attempt(LadderRows { own: owner, total }, with_key, now);
            prop_assert!(matches!(verdict, Verdict::Counted(_)));
        }
    }

    #[test]
    fn success_touches_only_its_own_address(failures in 0_u32..20, total in 0_u32..40) {
        let mine = LadderRow { failures, last_failure: Some(START), ..LadderRow::default() };
        let rows = LadderRows { own: mine, total: TotalRow { window_start: Some(START), failures: total } };
        let after = succeed(rows, START);
        prop_assert_eq!(after.total.failures, total.saturating_sub(1));
        prop_assert_eq!(after.own.failures, 0);
    }
}
