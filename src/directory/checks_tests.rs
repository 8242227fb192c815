//! The queue in front of the check threads. Threads are held by gates, never by sleeping.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::mpsc;

use super::*;
use crate::config::{RoleNumbering, Throttle};

fn checks(threads: usize, queue: usize, timeout: Duration) -> Checks {
    let login = Login {
        hide_unknown_users: false,
        role_numbering: RoleNumbering::Contract,
        concurrency: NonZeroUsize::new(threads).unwrap(),
        queue,
        queue_timeout: timeout,
        throttle: Throttle { per_user: NonZeroU32::MIN, per_network: NonZeroU32::MIN, window: Duration::ZERO },
    };
    Checks::new(&login)
}

const LONG: Duration = Duration::from_secs(60);

/// A check that runs until the gate opens, or is dropped.
fn gate() -> (mpsc::Sender<()>, mpsc::Receiver<()>, impl FnOnce(oneshot::Sender<u8>) + Send) {
    let (open, wait) = mpsc::channel::<()>();
    let (begun, running) = mpsc::channel();
    let check = move |answer: oneshot::Sender<u8>| {
        begun.send(()).unwrap();
        let _ = wait.recv();
        let _ = answer.send(1);
    };
    (open, running, check)
}

fn quick(answer: oneshot::Sender<u8>) {
    let _ = answer.send(2);
}

async fn begun(running: mpsc::Receiver<()>) {
    tokio::task::spawn_blocking(move || running.recv().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_check_answers_and_may_go_on_working() {
    let checks = checks(1, 0, LONG);
    let (done, wait) = mpsc::channel();
    let check = move |answer: oneshot::Sender<u8>| {
        answer.send(7).unwrap();
        done.send(()).unwrap();
    };
    assert_eq!(checks.run(check).await.ok(), Some(7));
    wait.recv().unwrap();
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let checks = Arc::new(checks(1, 1, LONG));
    let (open, running, check) = gate();
    let first = tokio::spawn({
        let checks = Arc::clone(&checks);
        async move { checks.run(check).await.ok() }
    });
    begun(running).await;
    let second = tokio::spawn({
        let checks = Arc::clone(&checks);
        async move { checks.run(quick).await.ok() }
    });
    while checks.shared.lock().waiting.is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(checks.run(quick).await.is_err());
    drop(open);
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (Some(1), Some(2)));
}

#[tokio::test]
async fn who_waits_past_the_deadline_is_refused_and_never_checked() {
    let checks = checks(1, 4, Duration::from_secs(1));
    let (open, running, check) = gate();
    let (touched, skipped) = mpsc::channel::<()>();
    let waits = async {
        begun(running).await;
        let refused = checks.run(move |answer: oneshot::Sender<()>| {
            touched.send(()).unwrap();
            let _ = answer.send(());
        });
        assert!(refused.await.is_err());
        drop(open);
    };
    let (first, ()) = tokio::join!(checks.run(check), waits);
    assert_eq!(first.ok(), Some(1), "what has begun has no deadline");
    drop(checks);
    assert!(tokio::task::spawn_blocking(move || skipped.recv()).await.unwrap().is_err());
}

#[tokio::test]
async fn who_hangs_up_frees_its_place_in_the_queue_but_not_a_running_thread() {
    let checks = Arc::new(checks(1, 1, LONG));
    let (open, running, check) = gate();
    let first = tokio::spawn({
        let checks = Arc::clone(&checks);
        async move { checks.run(check).await.ok() }
    });
    begun(running).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let second = tokio::spawn({
        let checks = Arc::clone(&checks);
        async move { checks.run(quick).await.ok() }
    });
    while checks.shared.lock().waiting.is_empty() {
        tokio::task::yield_now().await;
    }
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    assert_eq!(checks.shared.lock().running, 1, "the check of the first still runs");
    drop(open);
    assert_eq!(checks.run(quick).await.ok(), Some(2));
}

#[tokio::test]
async fn a_panic_costs_one_check_and_no_thread() {
    let checks = checks(1, 1, LONG);
    for _ in 0..3 {
        assert!(checks.run(|_: oneshot::Sender<()>| panic!("on purpose")).await.is_err());
    }
    assert_eq!(checks.run(quick).await.ok(), Some(2));
}

fn policy(answer: oneshot::Sender<ThreadSchedulePolicy>) {
    let _ = answer.send(thread_priority::thread_schedule_policy().unwrap());
}

const ORDINARY: ThreadSchedulePolicy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Other);
const IDLE: ThreadSchedulePolicy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);

#[tokio::test]
async fn checks_run_below_normal_priority_and_requests_do_not() {
    let nice = || rustix::process::getpriority_process(None).unwrap();
    let own = nice();
    let checks = checks(1, 0, LONG);
    let theirs = checks.run(move |answer| _ = answer.send(nice())).await.ok();
    assert!(theirs.unwrap() > own || own == 19);
    assert_eq!(rustix::process::getpriority_process(None).unwrap(), own);
}

/// How checks ran that waited together for the only thread.
async fn policies_of(many: usize, checks: &Arc<Checks>) -> Vec<ThreadSchedulePolicy> {
    let (open, running, check) = gate();
    let busy = tokio::spawn({
        let checks = Arc::clone(checks);
        async move { checks.run(check).await.ok() }
    });
    begun(running).await;
    let waiting: Vec<_> = std::iter::repeat_with(|| Arc::clone(checks))
        .take(many)
        .map(|checks| tokio::spawn(async move { checks.run(policy).await.ok().unwrap() }))
        .collect();
    while checks.shared.lock().waiting.len() < many {
        tokio::task::yield_now().await;
    }
    drop(open);
    busy.await.unwrap();
    let mut policies = Vec::new();
    for one in waiting {
        policies.push(one.await.unwrap());
    }
    policies
}

#[tokio::test]
async fn checks_stand_aside_once_half_the_queue_is_taken_until_none_waits() {
    let checks = Arc::new(checks(1, 4, LONG));
    assert_eq!(policies_of(3, &checks).await, [IDLE; 3]);
    while checks.shared.lock().running > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(checks.run(policy).await.ok(), Some(ORDINARY), "a later login is no part of the flood");
}

#[tokio::test]
async fn a_few_that_wait_are_no_flood() {
    assert_eq!(policies_of(2, &Arc::new(checks(1, 4, LONG))).await, [ORDINARY; 2]);
}
