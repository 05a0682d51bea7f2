//! Owns the proxy under test: the real binary as a child process, what it prints, and its end. Must never leave a child behind, or use a fixed port.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mainstay::cmd::mock::{Fault, Kind, Mock, Received, Script};
use serde_json::Value;

pub(crate) use crate::config::Config;
pub(crate) use crate::metrics::Metrics;
use crate::raw::{self, Answer, Request, Via};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_mainstay");

// === mocks ===

/// A script without waits.
pub(crate) fn fast() -> Script {
    Script {
        first_token: Duration::ZERO,
        pace: Duration::ZERO,
        ..Script::default()
    }
}

/// A script without waits that fails every request.
pub(crate) fn failing(kind: Kind) -> Script {
    Script {
        fault: Some(Fault::always(kind)),
        ..fast()
    }
}

pub(crate) async fn mock(script: Script) -> Mock {
    Mock::start(anywhere(), script).await.unwrap()
}

pub(crate) fn anywhere() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// The requests that named this model.
pub(crate) fn for_model(mock: &Mock, model: &str) -> Vec<Received> {
    let mut received = mock.received();
    received.retain(|request| request.model.as_deref() == Some(model));
    received
}

/// An address that refuses connections as long as the socket lives.
pub(crate) fn closed_port() -> (socket2::Socket, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&anywhere().into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// The key that a provider of this name gets from the proxy.
pub(crate) fn provider_key(name: &str) -> String {
    format!("sk-upstream-{name}-71d0c5")
}

// === the process ===

/// A running proxy. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Proxy {
    child: Child,
    pub(crate) data: SocketAddr,
    pub(crate) admin: SocketAddr,
    stderr: Lines,
    stdout: Lines,
    /// What the process was told to read.
    pub(crate) path: PathBuf,
    _folder: tempfile::TempDir,
}

/// The lines of one of its outputs so far.
#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Proxy {
    pub(crate) fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mainstay.yaml");
        std::fs::write(&path, config).unwrap();
        Self::start_from(folder, path)
    }

    /// Runs a file in a folder that lives as long as the process.
    pub(crate) fn start_from(folder: tempfile::TempDir, path: PathBuf) -> Self {
        Self::run(folder, path, &mut command(&["run", "-c"]))
    }

    /// Starts a process that takes over from the one that serves, with the configuration given.
    pub(crate) fn upgrade(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mainstay.yaml");
        std::fs::write(&path, config).unwrap();
        Self::run(folder, path, &mut command(&["run", "--upgrade", "-c"]))
    }

    /// Runs with as much logged as an operator would ask for.
    pub(crate) fn start_verbose(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mainstay.yaml");
        std::fs::write(&path, config).unwrap();
        let mut command = command(&["run", "-c"]);
        Self::run(folder, path, command.env("RUST_LOG", "debug"))
    }

    /// Runs with its access log going there.
    pub(crate) fn start_writing(config: &str, to: Stdio) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mainstay.yaml");
        std::fs::write(&path, config).unwrap();
        Self::run(folder, path, command(&["run", "-c"]).stdout(to))
    }

    fn run(folder: tempfile::TempDir, path: PathBuf, command: &mut Command) -> Self {
        let mut child = command.arg(&path).spawn().unwrap();
        let stderr = Lines::of(child.stderr.take().unwrap());
        let stdout = child.stdout.take().map(Lines::of).unwrap_or_default();
        let mut proxy = Self {
            child,
            data: anywhere(),
            admin: anywhere(),
            stderr,
            stdout,
            path,
            _folder: folder,
        };
        proxy.await_serving();
        proxy
    }

    /// Runs a file behind a link, whose changes no watch on the link's folder sees: only SIGHUP applies them.
    pub(crate) fn start_unwatched(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real");
        std::fs::create_dir(&real).unwrap();
        std::fs::write(real.join("live.yaml"), config).unwrap();
        let path = folder.path().join("mainstay.yaml");
        std::os::unix::fs::symlink(real.join("live.yaml"), &path).unwrap();
        Self::start_from(folder, path)
    }

    fn await_serving(&mut self) {
        let serving = self.wait_for("the line `serving`", |proxy| {
            if let Some(status) = proxy.child.try_wait().unwrap() {
                panic!("the proxy ended with {status}:\n{}", proxy.log());
            }
            proxy.logged("serving").into_iter().next()
        });
        let address = |field: &str| serving[field].as_str().unwrap().parse().unwrap();
        (self.data, self.admin) = (address("listen"), address("admin"));
        for address in [self.data, self.admin] {
            self.wait_for("a listener", |_| std::net::TcpStream::connect(address).ok());
        }
    }

    pub(crate) async fn call(&self, via: Via, request: &Request) -> Answer {
        raw::call(via, self.data, request).await
    }

    /// A request over HTTP/1.1.
    pub(crate) async fn send(&self, request: &Request) -> Answer {
        self.call(Via::H1, request).await
    }

    pub(crate) async fn admin_get(&self, path: &str) -> Answer {
        raw::call(Via::H1, self.admin, &Request::get(path)).await
    }

    pub(crate) async fn status(&self) -> Value {
        self.admin_get("/api/status").await.json()
    }

    pub(crate) async fn metrics(&self) -> Metrics {
        Metrics(self.admin_get("/metrics").await.text().to_owned())
    }

    /// Waits until a count is reached (an exchange is counted once its last byte has left), and not passed.
    pub(crate) async fn counts(&self, family: &str, labels: &[(&str, &str)], expected: f64) {
        let begun = Instant::now();
        loop {
            let metrics = self.metrics().await;
            let sum = metrics.sum(family, labels);
            if (sum - expected).abs() < 0.1 {
                return;
            }
            let patient = begun.elapsed() < Duration::from_secs(3);
            assert!(
                patient && sum < expected,
                "{family}{labels:?}: {sum} instead of {expected}\n{}",
                metrics.0
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until no exchange is under way.
    pub(crate) async fn idle(&self, within: Duration) {
        let begun = Instant::now();
        while self
            .metrics()
            .await
            .sum("mainstay_exchanges_in_flight", &[])
            > 0.0
        {
            assert!(begun.elapsed() < within, "exchanges are still under way");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The access log, once it has at least so many lines.
    pub(crate) async fn access_log(&self, lines: usize) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let log = self.stdout.all();
            if log.len() >= lines {
                let parse = |line: &String| serde_json::from_str(line).expect(line);
                return log.iter().map(parse).collect();
            }
            assert!(
                begun.elapsed() < raw::PATIENCE,
                "{lines} lines wanted: {log:?}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Everything the process has written so far.
    pub(crate) fn log(&self) -> String {
        self.stderr.all().join("\n")
    }

    pub(crate) fn output(&self) -> String {
        self.stdout.all().join("\n")
    }

    /// The log's lines with this message.
    pub(crate) fn logged(&self, message: &str) -> Vec<Value> {
        let lines = self.stderr.all();
        let lines = lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok());
        lines
            .filter(|line: &Value| {
                line["message"]
                    .as_str()
                    .is_some_and(|text| text.contains(message))
            })
            .collect()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.id());
        let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success(), "{kill}");
    }

    /// Waits for the process to end by itself.
    pub(crate) async fn ended(&mut self, within: Duration) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < within, "the process lives on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Replaces the configuration file in one step.
    pub(crate) fn write_config(&self, text: &str) {
        let file = self.path.canonicalize().unwrap();
        let next = file.with_extension("next");
        std::fs::write(&next, text).unwrap();
        std::fs::rename(&next, &file).unwrap();
    }

    /// Bytes that are resident.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        let kilobytes = line.split_whitespace().nth(1).unwrap();
        kilobytes.parse::<u64>().unwrap() * 1024
    }

    #[expect(clippy::print_stderr, reason = "a failed test is read by a person")]
    fn tell(&self) {
        let lines = self.stdout.all();
        let last = &lines[lines.len().saturating_sub(10)..];
        eprintln!("--- log\n{}", self.log());
        eprintln!("--- access log, at most ten lines\n{}", last.join("\n"));
    }

    fn wait_for<T>(&mut self, what: &str, mut look: impl FnMut(&mut Self) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(
                begun.elapsed() < raw::PATIENCE,
                "never: {what}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            self.tell();
        }
    }
}

impl Lines {
    fn of(output: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let writer = lines.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                writer.0.lock().unwrap().push(line);
            }
        });
        lines
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// The binary with these arguments and nothing of the tests' own environment that it would read.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command
        .args(arguments)
        .env_remove("RUST_LOG")
        .env_remove("MAINSTAY_CONFIG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a verb to its end.
pub(crate) fn run(arguments: &[&str], file: &Path) -> std::process::Output {
    command(arguments).arg(file).output().unwrap()
}

/// Waits until `holds`.
pub(crate) async fn eventually(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < within, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
