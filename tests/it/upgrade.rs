//! One process takes over from another: no client is refused or cut, and a successor that fails changes nothing.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mainstay::cmd::mock::{Mock, Script};
use tokio::task::JoinHandle;

use crate::harness::{BINARY, Config, Proxy, command, eventually, fast, mock};
use crate::raw::{self, Ended, H1, H2, Request, Via, h2_piece};

const END: Duration = Duration::from_secs(20);

/// A process that offers its listeners, and what its successors need.
struct Stage {
    _mock: Mock,
    old: Proxy,
    config: Config,
    folder: tempfile::TempDir,
}

impl Stage {
    async fn new(pace: Duration) -> Self {
        let mock = mock(Script { pace, ..fast() }).await;
        let folder = tempfile::tempdir().unwrap();
        let (socket, health) = (folder.path().join("upgrade"), folder.path().join("health"));
        let config = Config::new()
            .server(&format!("upgrade_socket: {}", socket.display()))
            .provider("one", mock.addr())
            .provider("two", mock.addr())
            .model("t/m", &["one", "two"])
            .top(&format!("store: {{ health: {} }}", health.display()));
        Self {
            old: config.start(),
            _mock: mock,
            config,
            folder,
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("upgrade")
    }

    /// What a successor reads: the same, at the addresses that the old process has.
    fn successors_file(&self) -> String {
        let (data, admin) = (self.old.data.to_string(), self.old.admin.to_string());
        let text = self.config.text();
        let text = text.replacen("127.0.0.1:0", &data, 1);
        text.replacen("127.0.0.1:0", &admin, 1)
    }
}

/// Clients that connect anew for each request, until told to stop; they tell how many were answered.
fn clients(proxy: &Proxy, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<usize>> {
    let address = proxy.data;
    let one = |via: Via| {
        let stop = stop.clone();
        tokio::spawn(async move {
            let mut answered = 0;
            while !stop.load(Ordering::Relaxed) {
                let answer = raw::call(via, address, &Request::stream("t/m")).await;
                assert_eq!((answer.status, answer.end), (200, Ended::Whole));
                answered += 1;
            }
            answered
        })
    };
    [Via::H1, Via::H2, Via::H1, Via::H2].map(one).into()
}

async fn drain_two(proxy: &Proxy) {
    let path = "/api/endpoints/t%2Fm%40two%2Fdefault/drain";
    let answer = raw::call(Via::H1, proxy.admin, &Request::post(path, "")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_takes_over_and_nobody_is_refused_or_cut() {
    let mut stage = Stage::new(Duration::from_millis(25)).await;
    drain_two(&stage.old).await;
    let mut h1 = H1::connect(stage.old.data).await;
    h1.send(&Request::stream("t/m")).await;
    let mut first = h1.head().await;
    assert!(h1.chunk(&mut first).await);
    let mut h2 = H2::connect(stage.old.data).await;
    let (mut second, body) = h2.head(&Request::stream("t/m")).await;
    let mut body = body.unwrap();
    let stop = Arc::<AtomicBool>::default();
    let load = clients(&stage.old, &stop);
    let mut idle = H1::connect(stage.old.data).await;
    assert_eq!(idle.call(&Request::chat("t/m")).await.status, 200);

    let new = Proxy::upgrade(&stage.successors_file());
    assert_eq!((new.data, new.admin), (stage.old.data, stage.old.admin));
    h1.body(&mut first).await;
    while h2_piece(&mut second, &mut body).await {}
    for answer in [first, second] {
        assert_eq!(answer.end, Ended::Whole);
        assert_eq!(answer.content(), Script::default().answer());
    }
    assert_eq!(stage.old.ended(END).await.code(), Some(0));
    assert_eq!(stage.old.logged("a successor serves").len(), 1);
    stop.store(true, Ordering::Relaxed);
    for client in load {
        assert!(client.await.unwrap() > 0);
    }
    // The successor has the port to itself, and what was learnt.
    assert_eq!(new.send(&Request::chat("t/m")).await.status, 200);
    let endpoints = new.admin_get("/api/endpoints").await.json();
    assert_eq!(endpoints[1]["state"], "drained", "{endpoints}");
    assert!(!new.access_log(1).await.is_empty());
    // And it can be succeeded in turn.
    let third = Proxy::upgrade(&stage.successors_file());
    let mut new = new;
    assert_eq!(new.ended(END).await.code(), Some(0));
    assert_eq!(third.send(&Request::chat("t/m")).await.status, 200);
}

/// Asks as a successor would, and reads what the old process says.
fn ask(socket: &Path) -> (UnixStream, String) {
    let mut stream = UnixStream::connect(socket).unwrap();
    let mut offer = Vec::new();
    while offer.last() != Some(&b'\n') {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        offer.push(byte[0]);
    }
    (stream, String::from_utf8(offer).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_that_fails_changes_nothing() {
    let stage = Stage::new(Duration::ZERO).await;
    let socket = stage.socket();
    eventually("a socket", END, || socket.exists()).await;
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (gone, offer) = ask(&socket);
    assert!(offer.contains(&stage.old.data.to_string()), "{offer}");
    drop(gone);
    let refused = |proxy: &Proxy| proxy.logged("did not start").len();
    eventually("a line about it", END, || refused(&stage.old) == 1).await;
    // One whose listener is taken, and one whose file is broken.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let other = stage
        .successors_file()
        .replacen(&stage.old.data.to_string(), &taken, 1);
    for (text, code) in [(other, 1), ("models: nonsense".to_owned(), 78)] {
        let file = stage.folder.path().join("successor.yaml");
        std::fs::write(&file, text).unwrap();
        let output = crate::harness::run(&["run", "--upgrade", "-c"], &file);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
    eventually("a line about each", END, || refused(&stage.old) == 2).await;
    assert_eq!(stage.old.send(&Request::chat("t/m")).await.status, 200);
    assert_eq!(stage.old.status().await["draining"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_predecessor_it_simply_serves_and_leaves_nothing_behind() {
    let stage = Stage::new(Duration::ZERO).await;
    let socket = stage.folder.path().join("elsewhere");
    let text = stage.config.text().replace("/upgrade", "/elsewhere");
    let mut alone = Proxy::upgrade(&text);
    assert_eq!(alone.logged("asked for the listeners")[0]["found"], false);
    assert_eq!(alone.send(&Request::chat("t/m")).await.status, 200);
    eventually("a socket", END, || socket.exists()).await;
    alone.signal("TERM");
    assert_eq!(alone.ended(END).await.code(), Some(0));
    assert!(!socket.exists());
    // Whoever asks for it must say where.
    let file = stage.folder.path().join("nowhere.yaml");
    let text = Config::new()
        .provider("one", stage.old.data)
        .model("t/m", &["one"]);
    std::fs::write(&file, text.text()).unwrap();
    let output = command(&["run", "--upgrade", "-c"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("server.upgrade_socket"), "{BINARY}: {said}");
}
