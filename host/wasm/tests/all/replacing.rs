//! A driver takes another's place while tasks run, or does not.

use std::{sync::Arc, time::Duration};

use longshore_core::driver::{Driver, Drivers, Task};
use longshore_fake::Effect;
use longshore_wasm::registry::ReplaceError;

use crate::support::{Host, hostile, made, source, task};

async fn running(host: &Host, name: &str, does: &str) -> (Task, Vec<u8>) {
    let task = task(name, does);
    let handle = host.driver.start(&task).await.unwrap().handle;
    (task, handle)
}

#[tokio::test]
async fn running_tasks_are_found_again_by_the_new_one() {
    let host = Host::new().await;
    let stored = [running(&host, "a", "").await, running(&host, "b", "").await];
    let new = host.registry.replace("hostile", source(hostile()), &stored).await.unwrap();
    assert!(!Arc::ptr_eq(&host.driver, &new));
    let current = host.registry.get("hostile").unwrap();
    for (task, handle) in &stored {
        current.stop(task, handle, &Default::default()).await.unwrap();
    }
    assert_eq!(host.fake.running(), Vec::<String>::new());
}

#[tokio::test]
async fn an_operation_under_way_ends_on_the_old_one() {
    let host = Host::new().await;
    host.fake.on("processes.spawn", 1, Effect::Delay(Duration::from_millis(200)));
    let old = host.driver.clone();
    let starting = tokio::spawn(async move { old.start(&task("slow", "")).await });
    host.registry.replace("hostile", source(hostile()), &[]).await.unwrap();
    starting.await.unwrap().unwrap();
}

#[tokio::test]
async fn one_that_loses_tasks_is_refused() {
    let host = Host::new().await;
    let stored = [running(&host, "a", "").await, running(&host, "b", "recover:trap").await];
    let refused = host.registry.replace("hostile", source(hostile()), &stored).await.err().unwrap();
    assert!(matches!(&refused, ReplaceError::Tasks { lost, .. } if lost.len() == 1), "{refused}");
    let told = refused.to_string();
    assert!(told.starts_with("the new version of hostile would lose 1 of 2 running tasks: alloc-of-b/b: "), "{told}");
    let current = host.registry.get("hostile").unwrap();
    assert!(std::ptr::addr_eq(Arc::as_ptr(&current), Arc::as_ptr(&host.driver)), "the old one stays");
}

#[tokio::test]
async fn a_task_that_is_gone_is_no_loss() {
    let host = Host::new().await;
    let (task, handle) = running(&host, "a", "").await;
    host.driver.destroy(&task, Some(&handle)).await.unwrap();
    host.registry.replace("hostile", source(hostile()), &[(task, handle)]).await.unwrap();
}

#[tokio::test]
async fn one_that_asks_for_more_is_refused_with_the_difference() {
    let host = Host::new().await;
    let greedy = made("package made:made; world made { include longshore:driver/driver@0.1.0; }");
    let refused = host.registry.replace("hostile", source(&greedy), &[]).await.err().unwrap();
    let told = refused.to_string();
    for line in ["    ports", "    processes", "+ files (it imports `longshore:host/files@0.1.0`)"] {
        assert!(told.contains(line), "{line:?} is not in: {told}");
    }
    assert!(told.contains("add \"files\" to `grants`"), "{told}");
    host.registry.get("hostile").unwrap().start(&task("t", "")).await.unwrap();
}

#[tokio::test]
async fn there_must_be_something_to_replace() {
    let host = Host::new().await;
    let refused = host.registry.replace("docker", source(hostile()), &[]).await.err().unwrap();
    assert!(matches!(refused, ReplaceError::Unknown(_)), "{refused}");
}
