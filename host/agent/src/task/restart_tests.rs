//! The decision table of restarts, with Nomad's reasons.

use super::*;

const SECOND: u64 = 1_000;

fn policy(attempts: u32, mode: RestartMode) -> RestartPolicy {
    RestartPolicy {
        attempts,
        interval: Duration::from_secs(60),
        delay: Duration::from_secs(10),
        mode,
        ..RestartPolicy::default()
    }
}

fn rules(attempts: u32, mode: RestartMode, kind: JobKind) -> RestartRules {
    RestartRules::new(policy(attempts, mode), kind, None)
}

fn exit(code: i32) -> Ending {
    Ending::Exited(ExitStatus { exit_code: code, ..ExitStatus::default() })
}

fn restart(seconds: u64, reason: &str) -> Decision {
    Decision::Restart(Duration::from_secs(seconds), reason.into())
}

const WITHIN: &str = "Restart within policy";
const DELAYED: &str = "Exceeded allowed attempts, applying a delay";
const NEEDLESS: &str = "Restart unnecessary as task terminated successfully";
const NONE: &str = "Policy allows no restarts";

#[test]
fn first_decisions() {
    use JobKind::{Batch, Service, Sysbatch, System};
    use RestartMode::{Delay, Fail};
    let broken = Ending::StartFailed { recoverable: true };
    let hopeless = Ending::StartFailed { recoverable: false };
    let unrecoverable = "Error was unrecoverable";
    for (attempts, mode, kind, ending, expected) in [
        (2, Fail, Service, Ending::Killed, Decision::Killed),
        (0, Fail, Service, Ending::Killed, Decision::Killed),
        (0, Fail, Service, Ending::RestartRequested, restart(0, "")),
        (2, Fail, Service, exit(1), restart(10, WITHIN)),
        (2, Fail, Service, exit(0), restart(10, WITHIN)),
        (2, Fail, System, exit(0), restart(10, WITHIN)),
        (2, Fail, Batch, exit(1), restart(10, WITHIN)),
        (2, Fail, Batch, exit(0), Decision::Terminated(NEEDLESS.into())),
        (2, Fail, Sysbatch, exit(0), Decision::Terminated(NEEDLESS.into())),
        (0, Fail, Batch, exit(0), Decision::Terminated(NONE.into())),
        (0, Fail, Batch, exit(1), Decision::Fail(NONE.into())),
        (0, Fail, Service, exit(0), Decision::Fail(NONE.into())),
        (0, Fail, Service, broken.clone(), Decision::Fail(NONE.into())),
        (2, Fail, Service, broken.clone(), restart(10, WITHIN)),
        (2, Delay, Service, broken, restart(10, WITHIN)),
        (2, Fail, Service, hopeless.clone(), Decision::Fail(unrecoverable.into())),
        (2, Delay, Service, hopeless, Decision::Fail(unrecoverable.into())),
    ] {
        let mut count = RestartCount::default();
        let decision = rules(attempts, mode, kind).decide(&mut count, &ending, 0, 0.0);
        assert_eq!(decision, expected, "{attempts} {mode:?} {kind:?} {ending:?}");
    }
}

#[test]
fn attempts_are_counted_within_an_interval() {
    let exceeded = Decision::Fail("Exceeded allowed attempts 2 in interval 1m0s and mode is \"fail\"".into());
    let fail = [(0, restart(10, WITHIN)), (20, restart(10, WITHIN)), (40, exceeded)];
    // When the interval is over, counting starts anew.
    let recovered = [(0, restart(10, WITHIN)), (20, restart(10, WITHIN)), (61, restart(10, WITHIN))];
    let delay =
        [(0, restart(10, WITHIN)), (20, restart(10, WITHIN)), (40, restart(20, DELAYED)), (61, restart(10, WITHIN))];
    for (mode, rows) in
        [(RestartMode::Fail, fail.as_slice()), (RestartMode::Fail, &recovered), (RestartMode::Delay, &delay)]
    {
        let rules = rules(2, mode, JobKind::Service);
        let mut count = RestartCount::default();
        for (seconds, expected) in rows {
            assert_eq!(&rules.decide(&mut count, &exit(1), seconds * SECOND, 0.0), expected, "{mode:?} at {seconds}");
        }
    }
}

#[test]
fn a_quarter_of_the_delay_is_added_at_random() {
    let rules = rules(9, RestartMode::Fail, JobKind::Service);
    for (random, expected) in [(0.0, 10_000), (0.5, 11_250), (1.0, 12_500), (7.0, 12_500)] {
        let decision = rules.decide(&mut RestartCount::default(), &exit(1), 0, random);
        assert_eq!(decision, Decision::Restart(Duration::from_millis(expected), WITHIN.into()), "{random}");
    }
}

#[test]
fn hooks_decide_whether_success_is_the_end() {
    use LifecycleHook::{Poststart, Poststop, Prestart};
    for (hook, sidecar, kind, restarts) in [
        (Prestart, false, JobKind::Service, false),
        (Prestart, true, JobKind::Service, true),
        (Prestart, true, JobKind::Batch, true),
        (Poststart, false, JobKind::Service, false),
        (Poststart, true, JobKind::Service, true),
        (Poststop, false, JobKind::Service, false),
        (Poststop, true, JobKind::Service, false),
    ] {
        let lifecycle = Lifecycle { hook, sidecar };
        let rules = RestartRules::new(policy(2, RestartMode::Fail), kind, Some(&lifecycle));
        let decision = rules.decide(&mut RestartCount::default(), &exit(0), 0, 0.0);
        assert_eq!(matches!(decision, Decision::Restart(..)), restarts, "{hook:?} {sidecar} {kind:?}");
    }
}

#[test]
fn extreme_policies_do_not_overflow() {
    let mut rules = rules(u32::MAX, RestartMode::Delay, JobKind::Service);
    rules.policy.delay = Duration::from_nanos(u64::MAX);
    rules.policy.interval = Duration::from_nanos(u64::MAX);
    let mut count = RestartCount { attempts: u32::MAX, interval_start_ms: u64::MAX };
    assert!(matches!(rules.decide(&mut count, &exit(1), u64::MAX, 1.0), Decision::Restart(..)));
}
