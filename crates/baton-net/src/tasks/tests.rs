use super::*;

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_a_task_that_heeds_the_token() {
    let tasks = Tasks::new();
    let stop = tasks.stop_token().clone();
    let task = tasks.spawn(async move {
        stop.cancelled().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        "stopped"
    });
    assert!(tasks.shut_down(Duration::from_secs(5)).await);
    assert_eq!(task.await.unwrap(), "stopped");
    assert!(tasks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn shutdown_says_so_when_a_task_outlives_the_deadline() {
    let tasks = Tasks::new();
    drop(tasks.spawn(std::future::pending::<()>()));
    assert!(!tasks.shut_down(Duration::from_secs(5)).await);
    assert_eq!(tasks.len(), 1);
}

#[tokio::test]
async fn work_of_an_executor_and_blocking_work_are_tracked() {
    let tasks = Tasks::new();
    hyper::rt::Executor::execute(&tasks, std::future::pending::<()>());
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks.spawn_blocking(|| 7).await.unwrap(), 7);
}
