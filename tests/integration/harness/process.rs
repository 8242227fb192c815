//! `gatewarden serve` as a process of its own: signals, its log, its exit code.

use std::net::SocketAddr;
use std::process::{Output, Stdio};

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use super::{Prepared, planted, within};

/// A running process; killed when dropped.
pub(crate) struct Process {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Process {
    /// Starts `serve`. Its standard output is a pipe that nobody reads.
    pub(crate) fn serve(prepared: &Prepared) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gatewarden"))
            .args(["serve", "--config"])
            .arg(&prepared.path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program");
        let log = BufReader::new(child.stderr.take().expect("its log")).lines();
        Self { child, log }
    }

    /// Its number.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().expect("it runs") as i32).expect("a number")
    }

    /// How large it may make a file from now on.
    pub(crate) fn limit_file_size(&self, bytes: u64) {
        let maximum = getrlimit(Resource::Fsize).maximum;
        prlimit(Some(self.pid()), Resource::Fsize, Rlimit { current: Some(bytes), maximum }).expect("a limit");
    }

    /// Reads its log until a line holds `text`; needs `log.level = "info"` for most.
    pub(crate) async fn says(&mut self, text: &str) -> String {
        self.lines_to(text).await.pop().expect("a line")
    }

    /// As [`Process::says`], with the lines before that one.
    pub(crate) async fn lines_to(&mut self, text: &str) -> Vec<String> {
        let lines = async {
            let mut lines: Vec<String> = Vec::new();
            while !lines.last().is_some_and(|line| line.contains(text)) {
                let line = self.log.next_line().await.expect("text").expect("the log goes on");
                planted::not_in("the log of the process", &line);
                lines.push(line);
            }
            lines
        };
        within(text, lines).await
    }

    /// Where its first listener is, once it says so.
    pub(crate) async fn address(&mut self) -> SocketAddr {
        let line = self.says("listening").await;
        let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        line["address"].as_str().and_then(|address| address.parse().ok()).expect("an address")
    }

    /// Sends it a signal by name.
    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status().await.expect("kill");
        assert!(sent.success());
    }

    /// CPU time of all its threads, in ticks of 10 ms.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let pid = self.child.id().expect("it runs");
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("its times");
        let behind_the_name = stat.rsplit(") ").next().expect("more").split(' ').collect::<Vec<_>>();
        let ticks = |at: usize| behind_the_name[at].parse::<u64>().expect("a number");
        ticks(11) + ticks(12)
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        let pid = self.child.id().expect("it runs");
        std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").count()
    }

    /// Bytes of memory that it holds.
    pub(crate) fn resident(&self) -> u64 {
        let pid = self.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kilobytes << 10
    }

    /// How it ended; `None` for a signal.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        within("the end of the process", self.child.wait()).await.expect("a status").code()
    }
}

impl Process {
    /// Waits for its end; what it wrote to standard output, and what is left of its log.
    pub(crate) async fn output(mut self) -> (String, String) {
        let (mut stdout, mut log) = (String::new(), String::new());
        let mut out = self.child.stdout.take().expect("a pipe");
        let both = async {
            let rest = async {
                while let Some(line) = self.log.next_line().await.expect("text") {
                    log.extend([line.as_str(), "\n"]);
                }
            };
            let (read, ()) = tokio::join!(out.read_to_string(&mut stdout), rest);
            read.expect("text");
        };
        within("the end of its output", both).await;
        (stdout, log)
    }
}

/// Runs another command to its end, with that on standard input.
pub(crate) async fn command(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatewarden"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("the program");
    let _it_may_not_read = child.stdin.take().expect("a pipe").write_all(input.as_bytes()).await;
    let output = within("the end of a command", child.wait_with_output()).await.expect("its output");
    planted::not_in("standard output", &output.stdout);
    planted::not_in("standard error", &output.stderr);
    output
}
