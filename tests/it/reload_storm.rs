//! A thousand reloads under load: two good files and a broken one in turn. No request is lost, no stream is
//! cut, and the attempts of one request belong to one generation.

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
/// Clients of each of the four kinds.
const CLIENTS: usize = 4;

/// A pair of providers of which the first always fails, and the file that names them.
async fn file(letter: char) -> (Vec<Mock>, String) {
    let names = [format!("{letter}1"), format!("{letter}2")];
    let bad = mock(failing(Kind::status(500))).await;
    let good = mock(Script {
        pace: PACE,
        ..fast()
    })
    .await;
    let config = Config::new()
        .provider(&names[0], bad.addr())
        .provider(&names[1], good.addr())
        .model("t/m", &[&names[0], &names[1]])
        .top("retry_budget: { floor_per_second: 10000 }");
    (vec![bad, good], config.text())
}

/// The clients, until they are told to stop. What any of them saw wrong fails the test.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn on(proxy: &Proxy) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let answered = Arc::<AtomicUsize>::default();
        let kinds = [
            (Via::H1, true),
            (Via::H2, true),
            (Via::H1, false),
            (Via::H2, false),
        ];
        let address = proxy.data;
        let clients = kinds.repeat(CLIENTS).into_iter().map(|(via, stream)| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(async move {
                let request = match stream {
                    true => Request::stream("t/m"),
                    false => Request::chat("t/m"),
                };
                let (mut h1, mut h2) = (H1::connect(address).await, H2::connect(address).await);
                while !stop_asked(&stop) {
                    let answer = match via {
                        Via::H1 => h1.call(&request).await,
                        Via::H2 => h2.call(&request).await,
                    };
                    is_whole(&answer);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let clients = clients.collect();
        Self {
            stop,
            answered,
            clients,
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

fn stop_asked(stop: &AtomicBool) -> bool {
    stop.load(Ordering::Relaxed)
}

fn is_whole(answer: &Answer) {
    assert_eq!(
        (answer.status, answer.end),
        (200, Ended::Whole),
        "{answer:?}"
    );
    assert_eq!(answer.content(), Script::default().answer());
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
    let (_p, first) = file('p').await;
    let (_q, second) = file('q').await;
    let broken = first.replace("provider: p2", "provider: nobody");
    let proxy = Proxy::start_unwatched(&first);
    let load = Load::on(&proxy);
    let mut admin = H1::connect(proxy.admin).await;
    let begun = Instant::now();
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

/// Odd generations know the providers p1 and p2, even ones q1 and q2.
fn belongs_together(log: &[Value]) {
    let mut recovered = 0;
    for line in log {
        let letter = match line["generation"].as_u64().unwrap() % 2 {
            1 => "t/m@p",
            _ => "t/m@q",
        };
        let attempts = line["attempts"].as_array().unwrap();
        for attempt in attempts {
            assert!(
                attempt["endpoint"].as_str().unwrap().starts_with(letter),
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
