//! Owns who a client is by its address: the peer of its connection, or whom trusted proxies name in
//! `X-Forwarded-For`. Must never believe anyone else.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;
use pingora::proxy::Session;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address; `None` where the connection has none, as those over a Unix socket have.
pub(crate) fn of(session: &Session, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = session.client_addr()?.as_inet()?.ip();
    Some(behind(peer, &session.req_header().headers, trusted))
}

/// Walks the header from its right end, where the nearest proxy wrote, over every proxy that is trusted. What
/// is no address ends the walk at the proxy that passed it on: what stands further left is anyone's word.
fn behind(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    if !is_trusted(&client) {
        return client;
    }
    let mut lines = headers.get_all(FORWARDED_FOR).iter();
    while is_trusted(&client) {
        let Some(line) = lines.next_back() else { break };
        let Ok(line) = line.to_str() else { break };
        for entry in line.rsplit(',') {
            let Some(address) = address(entry.trim()) else {
                return client;
            };
            client = address;
            if !is_trusted(&client) {
                return client;
            }
        }
    }
    client
}

/// An address as proxies write it: some add the port, and then brackets.
fn address(entry: &str) -> Option<IpAddr> {
    let bare = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || Some(entry.parse::<std::net::SocketAddr>().ok()?.ip());
    let plain = entry.parse().ok();
    let address: IpAddr = plain.or_else(bare).or_else(with_port)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(peer: &str, lines: &[&[u8]], expected: &str) {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"]
            .iter()
            .map(|network| network.parse().unwrap())
            .collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line).unwrap());
        }
        let found = behind(peer.parse().unwrap(), &headers, &trusted);
        assert_eq!(found.to_string(), expected, "{peer} {lines:?}");
    }

    #[test]
    fn a_peer_that_is_not_trusted_is_the_client() {
        check("203.0.113.9", &[b"198.51.100.1"], "203.0.113.9");
        check("2001:db8::1", &[b"198.51.100.1"], "2001:db8::1");
        check("::ffff:203.0.113.9", &[b"10.0.0.1"], "203.0.113.9");
        check("192.0.2.8", &[b"198.51.100.1"], "192.0.2.8");
    }

    #[test]
    fn trusted_proxies_are_skipped_from_the_right() {
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &[b"198.51.100.1"], "198.51.100.1");
        check("::ffff:10.0.0.1", &[b"198.51.100.1"], "198.51.100.1");
        check(
            "10.0.0.1",
            &[b"198.51.100.1, 10.2.0.1,192.0.2.7"],
            "198.51.100.1",
        );
        check(
            "fd00::1",
            &[b"198.51.100.1, 203.0.113.5, fd12::7"],
            "203.0.113.5",
        );
        check(
            "10.0.0.1",
            &[b"::ffff:198.51.100.1, ::ffff:10.9.9.9"],
            "198.51.100.1",
        );
        // Several lines are one list.
        check(
            "10.0.0.1",
            &[b"198.51.100.1", b"203.0.113.5", b"10.3.3.3"],
            "203.0.113.5",
        );
        // Where all are trusted, the leftmost is the furthest.
        check("10.0.0.1", &[b"10.0.0.3, 10.0.0.2"], "10.0.0.3");
    }

    #[test]
    fn addresses_may_have_a_port_and_brackets() {
        for entry in [&b"198.51.100.1:4711"[..], b"198.51.100.1 "] {
            check("10.0.0.1", &[entry], "198.51.100.1");
        }
        for entry in [&b"[2001:db8::2]:4711"[..], b"[2001:db8::2]", b"2001:db8::2"] {
            check("10.0.0.1", &[entry], "2001:db8::2");
        }
    }

    #[test]
    fn what_is_no_address_ends_the_walk() {
        check(
            "10.0.0.1",
            &[b"198.51.100.1, unknown, 10.0.0.2"],
            "10.0.0.2",
        );
        check("10.0.0.1", &[b"198.51.100.1, , 10.0.0.2"], "10.0.0.2");
        check("10.0.0.1", &[b""], "10.0.0.1");
        check("10.0.0.1", &[b"_hidden"], "10.0.0.1");
        check("10.0.0.1", &[b"198.51.100.1", b"\xff"], "10.0.0.1");
        check("10.0.0.1", &[b"1.2.3.4.5, [::1, 10.0.0.256"], "10.0.0.1");
    }
}
