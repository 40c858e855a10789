//! Kills of the agent and of the shim.

use std::{fs, os::unix::process::ExitStatusExt, time::Duration};

use longshore_core::{process::Processes, workload::RunState};
use longshore_linux::cgroup::Cgroups;
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Scene, alive, number_in, other_part, part, shell, until};

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_killed_agent_loses_no_task() {
    if let Some(dir) = part() {
        let scene = Scene::at(&dir);
        let script = "i=0; while [ ! -e stop ]; do i=$((i+1)); echo tick $i; sleep 0.01; done; exit 42";
        let id = scene.supervisor().spawn(&scene.caller, &shell(script)).await.unwrap();
        fs::write(dir.join("id.new"), id).unwrap();
        fs::rename(dir.join("id.new"), dir.join("id")).unwrap();
        tokio::time::sleep(Duration::from_secs(600)).await;
        return;
    }
    let scene = Scene::new();
    let mut agent = other_part("survive::a_killed_agent_loses_no_task", &scene.dir).spawn().unwrap();
    until("the other agent has started the task", || scene.dir.join("id").exists());
    agent.kill().unwrap();
    assert_eq!(agent.wait().unwrap().signal(), Some(9));

    let id = fs::read_to_string(scene.dir.join("id")).unwrap();
    let ticks = scene.log("stdout").len();
    until("the task goes on, and so does its log", || scene.log("stdout").len() > ticks);
    let supervisor = scene.supervisor();
    let list = supervisor.list(&scene.caller).await.unwrap();
    assert_eq!((list[0].id.as_str(), &list[0].state), (id.as_str(), &RunState::Running));
    assert_eq!(supervisor.spawn(&scene.caller, &shell("exit 1")).await.unwrap(), id, "it was started twice");

    let waiting = supervisor.wait(&scene.caller, &id);
    let stopping = async {
        fs::write(scene.scope().dirs.task.join("stop"), "").unwrap();
    };
    let (status, ()) = tokio::join!(waiting, stopping);
    assert_eq!(status.unwrap().exit_code, 42);
    assert!(!alive(list[0].pid));
    supervisor.remove(&scene.caller, &id).await.unwrap();
}

#[tokio::test]
async fn an_end_without_any_agent_is_remembered() {
    let scene = Scene::new();
    let id = scene.supervisor().spawn(&scene.caller, &shell("exit 12")).await.unwrap();
    let exit = || fs::read_dir(scene.dir.join("state")).unwrap().any(|home| home.unwrap().path().join("exit").exists());
    until("the shim has told", exit);
    let next = scene.supervisor();
    assert_eq!(next.wait(&scene.caller, &id).await.unwrap().exit_code, 12);
    next.remove(&scene.caller, &id).await.unwrap();
}

#[tokio::test]
async fn a_killed_shim_takes_the_task_along() {
    for cgroups in [Cgroups::detect as fn() -> Cgroups, Cgroups::none] {
        let scene = Scene::new();
        let supervisor = scene.supervisor_with(cgroups());
        let script = "sh -c 'echo $$ > child; exec sleep 600' & echo $$; while :; do sleep 1; done";
        let id = supervisor.spawn(&scene.caller, &shell(script)).await.unwrap();
        let child = number_in(&scene.scope().dirs.task.join("child"));
        let main = supervisor.inspect(&scene.caller, &id).await.unwrap().pid;
        let status = fs::read_to_string(format!("/proc/{main}/status")).unwrap();
        let shim = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().parse().unwrap();
        assert_eq!(fs::read_to_string(format!("/proc/{shim}/comm")).unwrap(), "longshore-shim\n");
        kill(shim);
        let ended = supervisor.wait(&scene.caller, &id).await.unwrap();
        assert_eq!((ended.exit_code, ended.signal), (137, 9));
        assert_eq!(ended.message.as_deref(), Some("its supervisor was killed, and it was killed with it"));
        until("nothing is left", || !alive(main) && !alive(child));
        supervisor.remove(&scene.caller, &id).await.unwrap();
    }
}

#[tokio::test]
async fn a_torn_directory_is_no_obstacle() {
    let scene = Scene::new();
    let supervisor = scene.supervisor();
    let id = supervisor.spawn(&scene.caller, &shell("exit 0")).await.unwrap();
    supervisor.wait(&scene.caller, &id).await.unwrap();
    supervisor.remove(&scene.caller, &id).await.unwrap();
    let home = scene.dir.join("state").join(id.split('.').next().unwrap());
    for torn in ["", "id=x", "id=x\0", "\0\0\0", "end=\0"] {
        fs::create_dir_all(&home).unwrap();
        fs::write(home.join("spec"), torn).unwrap();
        let supervisor = scene.supervisor();
        assert_eq!(supervisor.list(&scene.caller).await.unwrap(), [], "{torn:?}");
        let id = supervisor.spawn(&scene.caller, &shell("exit 8")).await.unwrap();
        assert_eq!(supervisor.wait(&scene.caller, &id).await.unwrap().exit_code, 8);
        supervisor.remove(&scene.caller, &id).await.unwrap();
    }
    // A cut between making a directory and naming it.
    fs::create_dir_all(scene.dir.join("state/.new-x.1")).unwrap();
    scene.supervisor();
    assert_eq!(fs::read_dir(scene.dir.join("state")).unwrap().count(), 0);
}
