//! That clients can add no series, and that a scrape of many endpoints is quick and keeps no request waiting.

use std::time::{Duration, Instant};

use crate::harness::{Config, Proxy, fast, mock};
use crate::raw::{H1, Request};

/// What hostile clients make up, on so many connections.
const HOSTILE: usize = 10_000;
const CLIENTS: usize = 8;
const MARK: &str = "made-up";

fn hostile(number: usize) -> Request {
    let name = format!("{MARK}-{number}");
    match number % 6 {
        0 => Request::chat(&name).key("k"),
        1 => Request::chat(&format!("wild/{name}")).key("k"),
        2 => Request::stream(&format!("t/m?{name}")).key("k"),
        3 => Request::chat("t/m").key(&name),
        4 => Request::get(&format!("/v1/files/{name}")).key("k"),
        _ => Request::get(&format!("/{name}/{name}")).header(&name, &name),
    }
}

async fn attack(proxy: &Proxy, numbers: std::ops::Range<usize>) {
    let work = (0..CLIENTS).map(|client| {
        let (address, numbers) = (proxy.data, numbers.clone());
        tokio::spawn(async move {
            for number in numbers.filter(|number| number % CLIENTS == client) {
                // A connection each: refused requests may end theirs.
                let answer = H1::connect(address).await.call(&hostile(number)).await;
                assert!(answer.status >= 200, "{number}");
            }
        })
    });
    for one in work.collect::<Vec<_>>() {
        one.await.unwrap();
    }
}

/// Every series, without its value.
async fn series(proxy: &Proxy) -> Vec<String> {
    let text = proxy.metrics().await.0;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let named = lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()));
    named.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_names_keys_and_paths_of_clients_add_no_series() {
    let one = mock(fast()).await;
    let proxy = Config::new()
        .provider("one", one.addr())
        .model("t/m", &["one"])
        .model("wild/*", &["one"])
        .top("auth: { keys: [{ name: app, key: k }] }")
        .top("routes: [{ path: /v1/files/*, providers: [one] }]")
        .start();
    // Each kind has been seen: what begins with its first class has begun.
    attack(&proxy, 0..48).await;
    proxy.idle(Duration::from_secs(10)).await;
    let before = series(&proxy).await;
    attack(&proxy, 48..HOSTILE).await;
    proxy.idle(Duration::from_secs(10)).await;
    let after = series(&proxy).await;
    let new: Vec<_> = after.iter().filter(|one| !before.contains(one)).collect();
    assert!(new.is_empty(), "{new:?}");
    assert!(before.len() > 100, "it has looked at nothing");
    let text = proxy.metrics().await;
    assert!(!text.0.contains(MARK), "a client's text is a label");
    assert!(text.sum("mainstay_requests_total", &[("model", "wild/*")]) >= 1000.0);
    assert!(text.sum("mainstay_route_requests_total", &[]) >= 1000.0);
}

/// The median and the longest of so many requests, one after the other.
async fn requests(proxy: &Proxy, count: usize) -> (Duration, Duration) {
    let mut client = H1::connect(proxy.data).await;
    let mut took = Vec::with_capacity(count);
    for number in 0..count {
        let begun = Instant::now();
        let model = format!("t/m{}", number % 100);
        assert_eq!(client.call(&Request::chat(&model)).await.status, 200);
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    (took[count / 2], took[count - 1])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_of_a_thousand_endpoints_is_quick_and_keeps_no_request_waiting() {
    let one = mock(fast()).await;
    let providers: Vec<String> = (0..10).map(|number| format!("p{number}")).collect();
    let names: Vec<&str> = providers.iter().map(String::as_str).collect();
    let mut config = Config::new();
    for name in &names {
        config = config.provider(name, one.addr());
    }
    for number in 0..100 {
        config = config.model(&format!("t/m{number}"), &names);
    }
    let proxy = config.start();
    requests(&proxy, 300).await;
    let (alone, _) = requests(&proxy, 300).await;
    let mut scrapes = Vec::new();
    let scraping = async {
        for _ in 0..7 {
            let begun = Instant::now();
            let text = proxy.metrics().await.0;
            scrapes.push((begun.elapsed(), text.lines().count()));
        }
    };
    let ((beside, longest), ()) = tokio::join!(requests(&proxy, 300), scraping);
    scrapes.sort_unstable();
    let (median, lines) = scrapes[scrapes.len() / 2];
    let told = format!(
        "{lines} lines in {median:?}; a request takes {alone:?}, beside scrapes {beside:?}, at most {longest:?}"
    );
    println!("{told}");
    assert!(lines > 40_000, "{told}");
    assert!(median <= Duration::from_secs(1), "{told}");
    // Scrapes have a thread of their own: requests share the machine with it, and wait for none of it.
    assert!(beside <= alone * 4 + Duration::from_millis(20), "{told}");
}
