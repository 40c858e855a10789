//! In which order a group's tasks start and end. Pure: from how they are to what to do next.

use longshore_job::model::{LifecycleHook, Task};

use crate::{
    status::{TaskPhase, TaskState},
    task::StopCause,
};

/// When a task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Before the main tasks.
    Prestart { sidecar: bool },
    /// What the group is for.
    Main { leader: bool },
    /// Once the main tasks run.
    Poststart { sidecar: bool },
    /// Once the main tasks are dead, and what they started is.
    Poststop,
}

/// The role the job file gives a task.
pub(crate) fn role(task: &Task) -> Role {
    match &task.lifecycle {
        None => Role::Main { leader: task.leader },
        Some(lifecycle) => match lifecycle.hook {
            LifecycleHook::Prestart => Role::Prestart { sidecar: lifecycle.sidecar },
            LifecycleHook::Poststart => Role::Poststart { sidecar: lifecycle.sidecar },
            LifecycleHook::Poststop => Role::Poststop,
        },
    }
}

/// One task, as the order needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// When it runs.
    pub(crate) role: Role,
    /// How it is.
    pub(crate) state: &'a TaskState,
}

impl Member<'_> {
    fn dead(&self) -> bool {
        self.state.phase == TaskPhase::Dead
    }

    fn failed(&self) -> bool {
        self.dead() && self.state.failed
    }

    /// Runs, or ran before.
    fn begun(&self) -> bool {
        self.state.phase == TaskPhase::Running || self.state.started_at.is_some()
    }
}

/// What to do with a task. Doing it twice changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It may start.
    Start(String),
    /// It is to end.
    Stop(String, StopCause),
}

/// What to do now. `ending` is whether the whole allocation is to end.
pub(crate) fn steps(members: &[Member], ending: bool) -> Vec<Step> {
    let cause = end_cause(members, ending);
    let mut steps = Vec::new();
    for member in members {
        let step = match &cause {
            Some(cause) if member.role != Role::Poststop => stop(member, members, cause),
            _ => may_start(member, members, cause.is_some()).then(|| Step::Start(member.name.to_owned())),
        };
        steps.extend(step);
    }
    steps
}

/// Why the group's tasks are to end, if they are.
fn end_cause(members: &[Member], ending: bool) -> Option<StopCause> {
    let failed = members.iter().find(|member| member.failed() && member.role != Role::Poststop);
    let leader_dead = members.iter().any(|member| member.role == Role::Main { leader: true } && member.dead());
    if ending {
        Some(StopCause::Requested)
    } else if let Some(failed) = failed {
        Some(StopCause::SiblingFailed(failed.name.to_owned()))
    } else if leader_dead {
        Some(StopCause::LeaderDead)
    } else {
        work_done(members).then_some(StopCause::MainTasksDead)
    }
}

fn mains<'a>(members: &'a [Member<'a>]) -> impl Iterator<Item = &'a Member<'a>> {
    members.iter().filter(|member| matches!(member.role, Role::Main { .. }))
}

/// Whether the main tasks are dead, and so is what was to follow their start and end by itself.
fn work_done(members: &[Member]) -> bool {
    let follows = |member: &&Member| member.role == Role::Poststart { sidecar: false };
    mains(members).all(Member::dead)
        && (members.iter().filter(follows).all(Member::dead) || !mains(members).all(Member::begun))
}

/// On request the leader ends first, so that its helpers see it out.
fn stop(member: &Member, members: &[Member], cause: &StopCause) -> Option<Step> {
    let leader_lives = mains(members).any(|other| other.role == Role::Main { leader: true } && !other.dead());
    let its_turn = !leader_lives || member.role == Role::Main { leader: true };
    (its_turn && !member.dead()).then(|| Step::Stop(member.name.to_owned(), cause.clone()))
}

fn may_start(member: &Member, members: &[Member], ending: bool) -> bool {
    if member.dead() {
        return false;
    }
    match member.role {
        Role::Prestart { .. } => !ending,
        Role::Main { .. } => !ending && members.iter().all(prestart_done),
        Role::Poststart { .. } => !ending && mains(members).all(Member::begun),
        Role::Poststop => work_done(members),
    }
}

/// Whether the main tasks need not wait for this one.
fn prestart_done(member: &Member) -> bool {
    match member.role {
        Role::Prestart { sidecar: true } => member.begun(),
        Role::Prestart { sidecar: false } => member.dead() && !member.state.failed,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    const PRE: Role = Role::Prestart { sidecar: false };
    const SIDE: Role = Role::Prestart { sidecar: true };
    const POST: Role = Role::Poststart { sidecar: false };
    const MAIN: Role = Role::Main { leader: false };
    const LEADER: Role = Role::Main { leader: true };

    fn state(word: &str) -> TaskState {
        let (phase, failed, begun) = match word {
            "pending" => (TaskPhase::Pending, false, false),
            "running" => (TaskPhase::Running, false, true),
            "done" => (TaskPhase::Dead, false, true),
            "failed" => (TaskPhase::Dead, true, true),
            other => panic!("{other}"),
        };
        let started_at = begun.then_some(SystemTime::UNIX_EPOCH);
        TaskState { phase, failed, started_at, ..TaskState::default() }
    }

    fn start(name: &str) -> Step {
        Step::Start(name.into())
    }

    fn stop(name: &str, cause: StopCause) -> Step {
        Step::Stop(name.into(), cause)
    }

    #[test]
    fn the_order_of_a_group() {
        use StopCause::{LeaderDead, MainTasksDead, Requested};
        let sibling = |name: &str| StopCause::SiblingFailed(name.into());
        type Row<'a> = (&'a str, &'a [(&'a str, Role, &'a str)], bool, Vec<Step>);
        let rows: Vec<Row> = vec![
            ("alone", &[("web", MAIN, "pending")], false, vec![start("web")]),
            (
                "prestart tasks come first",
                &[("init", PRE, "pending"), ("proxy", SIDE, "pending"), ("web", MAIN, "pending")],
                false,
                vec![start("init"), start("proxy")],
            ),
            (
                "main waits for the sidecar to run and the other to end",
                &[("init", PRE, "running"), ("proxy", SIDE, "running"), ("web", MAIN, "pending")],
                false,
                vec![start("init"), start("proxy")],
            ),
            (
                "then main starts",
                &[("init", PRE, "done"), ("proxy", SIDE, "running"), ("web", MAIN, "pending")],
                false,
                vec![start("proxy"), start("web")],
            ),
            (
                "a failed prestart task fails the group",
                &[("init", PRE, "failed"), ("web", MAIN, "pending")],
                false,
                vec![stop("web", sibling("init"))],
            ),
            (
                "poststart waits for all main tasks",
                &[("a", MAIN, "running"), ("b", MAIN, "pending"), ("post", POST, "pending")],
                false,
                vec![start("a"), start("b")],
            ),
            (
                "and then starts",
                &[("a", MAIN, "running"), ("post", POST, "pending")],
                false,
                vec![start("a"), start("post")],
            ),
            (
                "sidecars end with the main tasks, poststop begins",
                &[("proxy", SIDE, "running"), ("web", MAIN, "done"), ("bye", Role::Poststop, "pending")],
                false,
                vec![stop("proxy", MainTasksDead), start("bye")],
            ),
            (
                "what follows the main tasks' start may outlive them",
                &[
                    ("proxy", SIDE, "running"),
                    ("a", MAIN, "done"),
                    ("post", POST, "running"),
                    ("bye", Role::Poststop, "pending"),
                ],
                false,
                vec![start("proxy"), start("post")],
            ),
            (
                "or be late",
                &[("proxy", SIDE, "running"), ("a", MAIN, "done"), ("post", POST, "pending")],
                false,
                vec![start("proxy"), start("post")],
            ),
            (
                "and then all is done",
                &[
                    ("proxy", SIDE, "running"),
                    ("a", MAIN, "done"),
                    ("post", POST, "done"),
                    ("bye", Role::Poststop, "pending"),
                ],
                false,
                vec![stop("proxy", MainTasksDead), start("bye")],
            ),
            (
                "a sidecar among them is one",
                &[("a", MAIN, "done"), ("post", Role::Poststart { sidecar: true }, "running")],
                false,
                vec![stop("post", MainTasksDead)],
            ),
            (
                "one failed task ends its siblings",
                &[("a", MAIN, "failed"), ("b", MAIN, "running")],
                false,
                vec![stop("b", sibling("a"))],
            ),
            ("one ended task does not", &[("a", MAIN, "done"), ("b", MAIN, "running")], false, vec![start("b")]),
            (
                "a dead leader ends all others",
                &[("a", LEADER, "done"), ("b", MAIN, "running")],
                false,
                vec![stop("b", LeaderDead)],
            ),
            (
                "on request the leader goes first",
                &[("a", LEADER, "running"), ("b", MAIN, "running")],
                true,
                vec![stop("a", Requested)],
            ),
            (
                "then the others",
                &[("a", LEADER, "done"), ("b", MAIN, "running"), ("bye", Role::Poststop, "pending")],
                true,
                vec![stop("b", Requested)],
            ),
            (
                "poststop runs also when the job is stopped",
                &[("a", MAIN, "done"), ("bye", Role::Poststop, "pending")],
                true,
                vec![start("bye")],
            ),
            ("nothing left to do", &[("a", MAIN, "done"), ("bye", Role::Poststop, "failed")], true, vec![]),
        ];
        for (what, tasks, ending, expected) in rows {
            let states: Vec<TaskState> = tasks.iter().map(|(_, _, word)| state(word)).collect();
            let members: Vec<Member> =
                tasks.iter().zip(&states).map(|((name, role, _), state)| Member { name, role: *role, state }).collect();
            assert_eq!(steps(&members, ending), expected, "{what}");
        }
    }
}
