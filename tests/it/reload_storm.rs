//! A thousand reloads under load: two good files and a broken one in turn. No request is lost, no stream is
//! cut, the attempts of one request belong to one generation, and memory comes back. What reloads cost in time is
//! `make bench-reload`'s: a busy machine would say anything.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mainstay::cmd::mock::{Kind, Mock, Script};
use serde_json::Value;

use crate::harness::{Config, Proxy, failing, fast, mock};
use crate::raw::{Answer, Ended, H1, H2, Request, Via};

const RELOADS: usize = 1000;
/// Longer than many reloads: each stream outlives the generation that it began on.
const PACE: Duration = Duration::from_millis(2);
/// Clients of each of the four kinds, which ask without a pause.
const CLIENTS: usize = 4;
/// Connections that ask for JSON now and then, and streams that are open at once, each for six seconds.
const CONNECTIONS: usize = 64;
const NOW_AND_THEN: Duration = Duration::from_millis(250);
const STREAMS: usize = 500;
const LONG_PACE: Duration = Duration::from_millis(100);
/// Endpoints that nobody asks. They make a generation large: those replaced, if they were kept, would take more than
/// twice of what is granted below.
const IDLE_ENDPOINTS: usize = 100;
/// What the process may have grown by between the first reload, under the load, and some time after it.
const GROWTH: u64 = 48 << 20;

/// A pair of providers of which the first always fails, one that is slow, and the file that names them.
async fn file(letter: char) -> (Vec<Mock>, String) {
    let names = [1, 2, 3].map(|number| format!("{letter}{number}"));
    let bad = mock(failing(Kind::status(500))).await;
    let paced = |pace| Script { pace, ..fast() };
    let (good, slow) = (mock(paced(PACE)).await, mock(paced(LONG_PACE)).await);
    let mut config = Config::new()
        .provider(&names[0], bad.addr())
        .provider(&names[1], good.addr())
        .provider(&names[2], slow.addr())
        .model("t/m", &[&names[0], &names[1]])
        .model("t/slow", &[&names[2]])
        .top("retry_budget: { floor_per_second: 10000 }");
    for number in 0..IDLE_ENDPOINTS {
        config = config.model(&format!("idle/{number}"), &[&names[1]]);
    }
    (vec![bad, good, slow], config.text())
}

/// A client of the load.
#[derive(Clone, Copy)]
struct Asking {
    via: Via,
    model: &'static str,
    stream: bool,
    /// Between the beginnings of two requests.
    every: Duration,
}

/// The clients, until they are told to stop. What any of them saw wrong fails the test.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn on(proxy: &Proxy) -> Self {
        let load = Self {
            stop: Arc::default(),
            answered: Arc::default(),
            clients: Vec::new(),
        };
        let client = |via, model, stream, every| Asking {
            via,
            model,
            stream,
            every,
        };
        let asking = [
            client(Via::H1, "t/m", true, Duration::ZERO),
            client(Via::H2, "t/m", true, Duration::ZERO),
            client(Via::H1, "t/m", false, Duration::ZERO),
            client(Via::H2, "t/m", false, Duration::ZERO),
        ];
        let json = client(Via::H1, "t/m", false, NOW_AND_THEN);
        let slow = client(Via::H1, "t/slow", true, Duration::ZERO);
        let kinds = asking.repeat(CLIENTS).into_iter();
        let kinds = kinds
            .chain(std::iter::repeat_n(json, CONNECTIONS))
            .chain(std::iter::repeat_n(slow, STREAMS));
        let address = proxy.data;
        let clients = kinds
            .map(|kind| tokio::spawn(kind.ask(address, load.stop.clone(), load.answered.clone())));
        Self {
            clients: clients.collect(),
            ..load
        }
    }

    async fn end(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.unwrap();
        }
        self.answered.load(Ordering::Relaxed)
    }
}

impl Asking {
    async fn ask(self, address: SocketAddr, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>) {
        let request = match self.stream {
            true => Request::stream(self.model),
            false => Request::chat(self.model),
        };
        let mut client = match self.via {
            Via::H1 => Client::H1(H1::connect(address).await),
            Via::H2 => Client::H2(H2::connect(address).await),
        };
        while !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let answer = match &mut client {
                Client::H1(client) => client.call(&request).await,
                Client::H2(client) => client.call(&request).await,
            };
            is_whole(&answer);
            answered.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(self.every.saturating_sub(begun.elapsed())).await;
        }
    }
}

enum Client {
    H1(H1),
    H2(H2),
}

fn is_whole(answer: &Answer) {
    assert_eq!(
        (answer.status, answer.end),
        (200, Ended::Whole),
        "{answer:?}"
    );
    assert_eq!(answer.content(), Script::default().answer());
}

/// As many descriptors as the system lets this process have: it holds both ends of every stream.
fn raise_descriptors() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
}

/// Waits until the streams are open.
async fn until_open(proxy: &Proxy) {
    let begun = Instant::now();
    loop {
        let metrics = proxy.metrics().await;
        let open = metrics.sum("mainstay_exchanges_in_flight", &[]);
        if open >= STREAMS as f64 {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{open} are open");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Reloads and waits until it took.
async fn reload(proxy: &Proxy, admin: &mut H1, text: &str, took: impl Fn(&Value) -> bool) {
    proxy.write_config(text);
    proxy.signal("HUP");
    let begun = Instant::now();
    loop {
        let status = admin.call(&Request::get("/api/status")).await.json();
        if took(&status["config"]) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{status}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_reloads_lose_nothing() {
    raise_descriptors();
    let (_p, first) = file('p').await;
    let (_q, second) = file('q').await;
    let broken = first.replace("provider: p2", "provider: nobody");
    let proxy = Proxy::start_unwatched(&first);
    let load = Load::on(&proxy);
    let mut admin = H1::connect(proxy.admin).await;
    until_open(&proxy).await;
    let (at_first, begun) = (proxy.memory(), Instant::now());
    let mut generation = 1;
    for number in 1..=RELOADS {
        if number % 3 == 0 {
            let refused = |config: &Value| config["last_error"].is_string();
            reload(&proxy, &mut admin, &broken, refused).await;
            continue;
        }
        generation += 1;
        let text = if generation % 2 == 1 { &first } else { &second };
        let applied =
            |config: &Value| config["generation"] == generation && config["last_error"].is_null();
        reload(&proxy, &mut admin, text, applied).await;
    }
    let took = begun.elapsed();
    let answered = load.end().await;
    println!("{RELOADS} reloads in {took:?}, {answered} requests");
    comes_back(&proxy, at_first).await;
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert!(answered > 100, "{answered} requests are no load");
    let log = proxy.access_log(answered).await;
    assert_eq!(log.len(), answered);
    belongs_together(&log);
    let metrics = proxy.metrics().await;
    let reloads = |result| metrics.sum("mainstay_config_reloads_total", &[("result", result)]);
    assert!(reloads("refused") >= (RELOADS / 3) as f64);
    assert!((reloads("applied") - f64::from(generation - 1)).abs() < 0.1);
}

/// Without the load, memory is again what it was when the first generation served, but for what an allocator keeps.
async fn comes_back(proxy: &Proxy, at_first: u64) {
    // Asked for a reload, it looks for generations that nobody uses any more.
    proxy.signal("HUP");
    let begun = Instant::now();
    while proxy.memory() > at_first + GROWTH {
        let now = proxy.memory();
        assert!(
            begun.elapsed() < Duration::from_secs(15),
            "it has grown from {at_first} to {now} bytes"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Odd generations know the providers p1 and p2, even ones q1 and q2.
fn belongs_together(log: &[Value]) {
    let mut recovered = 0;
    for line in log {
        let own = match line["generation"].as_u64().unwrap() % 2 {
            1 => ["t/m@p", "t/slow@p"],
            _ => ["t/m@q", "t/slow@q"],
        };
        let attempts = line["attempts"].as_array().unwrap();
        for attempt in attempts {
            assert!(
                own.iter()
                    .any(|start| attempt["endpoint"].as_str().unwrap().starts_with(start)),
                "{line}"
            );
        }
        assert_eq!(line["result"], "answered", "{line}");
        recovered += usize::from(attempts.len() > 1);
    }
    assert!(
        recovered > 20,
        "{recovered} of {} requests made two attempts",
        log.len()
    );
}
