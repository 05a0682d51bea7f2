//! The example that uses the health-weighted selection alone: traffic leaves a backend that fails.

use std::net::SocketAddr;

use crate::embed::{free_address, serving};
use crate::harness::closed_port;
use crate::plain::{Manner, Plain};
use crate::raw::{Request, Via, call};

#[path = "../../examples/balancer.rs"]
#[expect(dead_code, reason = "its `main` is for the command line")]
mod example;

async fn start(backends: &[SocketAddr]) -> SocketAddr {
    let addresses: Vec<String> = backends.iter().map(ToString::to_string).collect();
    let balancer = example::Balancer::new(&addresses).await.unwrap();
    let address = free_address();
    std::thread::spawn(move || example::serve(&address.to_string(), balancer).unwrap());
    serving(address).await;
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_leaves_a_backend_that_fails() {
    let (bad, good) = (
        Plain::start(Manner::Status(500)).await,
        Plain::start(Manner::Well).await,
    );
    let (_socket, dead) = closed_port();
    let proxy = start(&[bad.address, good.address, dead]).await;
    for _ in 0..60 {
        let answer = call(Via::H1, proxy, &Request::get("/any")).await;
        assert!(matches!(answer.status, 200 | 500), "{answer:?}");
    }
    let (failed, answered) = (bad.seen().len(), good.seen().len());
    assert_eq!(failed + answered, 60, "the dead one cost nobody an answer");
    assert!(failed < 15, "{failed} of 60 went to the one that fails");
}
