//! The access log in an outage: it neither floods nor loses a count; and on a full disk: it costs its lines and no request.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use mainstay::cmd::mock::{Kind, Mock};
use serde_json::Value;

use crate::harness::{Config, Proxy, command, eventually, failing, fast, mock};
use crate::raw::{self, PATIENCE, Request, Via};

const REQUESTS: u64 = 120;

fn exchanges(lines: &[Value]) -> u64 {
    lines
        .iter()
        .map(|line| line["repeated"].as_u64().unwrap_or(1))
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_again_and_again_is_counted_and_what_is_answered_is_told_each_time() {
    let (bad, good) = (mock(failing(Kind::status(400))).await, mock(fast()).await);
    let proxy = Config::new()
        .provider("bad", bad.addr())
        .provider("good", good.addr())
        .model("t/ill", &["bad"])
        .model("t/well", &["good"])
        .start();
    for _ in 0..REQUESTS {
        assert_eq!(proxy.send(&Request::chat("t/ill")).await.status, 400);
    }
    for _ in 0..40 {
        assert_eq!(proxy.send(&Request::chat("t/well")).await.status, 200);
    }
    let of = |model: &str| {
        let lines: Vec<Value> = proxy
            .output()
            .lines()
            .map(|line| serde_json::from_str(line).expect(line))
            .collect();
        let of = lines.into_iter().filter(|line| line["model"] == model);
        of.collect::<Vec<Value>>()
    };
    let all = || exchanges(&of("t/ill")) >= REQUESTS && of("t/well").len() >= 40;
    eventually("all of them", PATIENCE, all).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(
        exchanges(&of("t/ill")),
        REQUESTS,
        "none is lost, none told twice"
    );
    assert_eq!(of("t/well").len(), 40);
    assert!(of("t/well").iter().all(|line| line["repeated"].is_null()));
    // On a slow machine they spread over many seconds, and fewer are folded.
    for line in of("t/ill") {
        assert_eq!(line["result"], "failed");
        assert!(line["request_id"].is_string() && line["attempts"][0]["start_ms"].is_u64());
    }
}

async fn well() -> (Mock, String) {
    let good = mock(fast()).await;
    let config = Config::new().provider("good", good.addr());
    let config = config.model("t/well", &["good"]);
    (good, config.text())
}

/// How long each of some requests took; all of them are answered.
async fn asked(proxy: &Proxy, requests: usize) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..requests {
        let begun = Instant::now();
        assert_eq!(proxy.send(&Request::chat("t/well")).await.status, 200);
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    took
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_the_lines_and_no_request() {
    let (_mock, config) = well().await;
    let healthy = Proxy::start(&config);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let proxy = Proxy::start_writing(&config, Stdio::from(full));
    asked(&healthy, 20).await;
    asked(&proxy, 20).await;
    let (usual, slow) = (asked(&healthy, 100).await, asked(&proxy, 100).await);
    // The medians: what else the machine does is not the disk's fault.
    assert!(
        slow[50] < usual[50] * 3 + Duration::from_millis(10),
        "{:?} instead of {:?}",
        slow[50],
        usual[50]
    );
    let dropped = [("mainstay_access_log_dropped_total", 120.0)];
    for (family, count) in dropped {
        proxy.counts(family, &[], count).await;
    }
    let said = proxy.logged("the access log cannot be written");
    assert_eq!(said.len(), 1, "it is said once: {said:?}");
    healthy
        .counts("mainstay_access_log_dropped_total", &[], 0.0)
        .await;
}

/// A process that is ended with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Where a process listens, as the system knows it: this one can tell nobody.
fn listeners(process: u32) -> Vec<SocketAddr> {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let open = open.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    let open: Vec<_> = open.collect();
    let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap();
    let listens = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let socket = format!("socket:[{}]", fields.get(9)?);
        let is_own = open.iter().any(|link| link == Path::new(&socket));
        let (_, port) = fields[1].split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        (fields[3] == "0A" && is_own).then(|| SocketAddr::from(([127, 0, 0, 1], port)))
    };
    table.lines().filter_map(listens).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_written_at_all_requests_are_answered() {
    let (_mock, config) = well().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mainstay.yaml");
    std::fs::write(&path, &config).unwrap();
    let full = || File::options().write(true).open("/dev/full").unwrap();
    let mut command = command(&["run", "-c"]);
    let command = command.arg(&path).stdout(full()).stderr(full());
    let process = Killed(command.spawn().unwrap());
    let id = process.0.id();
    eventually("its two listeners", PATIENCE, || listeners(id).len() == 2).await;
    let mut answered = 0;
    for at in listeners(id) {
        // One is the admin port, which does not know the path.
        for _ in 0..5 {
            let answer = raw::call(Via::H1, at, &Request::chat("t/well")).await;
            answered += usize::from(answer.status == 200);
        }
    }
    assert_eq!(answered, 5);
}
