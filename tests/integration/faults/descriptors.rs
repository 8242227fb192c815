//! Descriptors run out: accepting waits instead of spinning, what is open goes on, and all is well once there are some again.

use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::harness::{Connection, Prepared, Process, USER, Upstream};

#[tokio::test]
async fn without_descriptors_accepting_waits_and_later_goes_on() {
    let upstream = Upstream::start().await;
    let prepared = Prepared::new(&upstream, "log.level = 'info'\nserver.workers = 1");
    let mut process = Process::serve(&prepared);
    let address = process.address().await;
    let mut open = Connection::tls(address, &prepared.ca).await;
    let pair = open.login(&USER).await;
    assert_eq!(open.request(super::get("/", &pair)).await.status, 200);

    let pid = process.pid();
    // The connection to the upstream that idles stays; not one more can be opened.
    limit(pid, descriptors(pid));
    let waiting = tokio::net::TcpStream::connect(address).await.unwrap();
    let told = process.says("cannot accept").await;
    assert!(told.contains("Too many open files"), "{told}");
    assert_eq!(open.request("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.status, 401, "what is open goes on");
    let before = process.cpu_ticks();
    // Long enough for a loop that spins to show; that nothing happens is what is tested here.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let spent = process.cpu_ticks() - before;
    assert!(spent < 30, "{spent} ticks of 100 in one second, waiting for descriptors");

    limit(pid, getrlimit(Resource::Nofile).maximum.unwrap_or(1024));
    let config = crate::harness::tls::config(&prepared.ca, None).into();
    let served = crate::harness::tls::over(waiting, &config, "localhost").await.expect("it is accepted after all");
    assert_eq!(Connection::over(served).request(super::get("/", &pair)).await.status, 200);
    process.signal("TERM").await;
    assert_eq!(process.ended().await, Some(0));
}

/// The lowest number that is free: the limit is on the number of a new descriptor.
fn descriptors(pid: Pid) -> u64 {
    let open = std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).unwrap();
    let numbers: Vec<u64> = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    (0..).find(|number| !numbers.contains(number)).unwrap()
}

fn limit(pid: Pid, most: u64) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    prlimit(Some(pid), Resource::Nofile, Rlimit { current: Some(most), maximum }).unwrap();
}
