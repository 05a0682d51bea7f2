//! Owns the rules of `server.trusted_proxies`. Must never trust an address that is not written.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use crate::config::report::Report;
use crate::config::scalar::Text;
use crate::config::trail::Trail;

/// Bits before the IPv4 address in `::ffff:10.0.0.1`.
const MAPPED: u8 = 96;

/// The networks, an address alone being one of its own.
pub(super) fn compile(written: &[Text], at: &Trail, report: &mut Report<'_>) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (index, Text(text)) in written.iter().enumerate() {
        let at = at.index(index);
        let Some(network) = network(text.trim()) else {
            let message = format!("{} is not an address or a network", report.quoted(&at));
            let hint = "write 10.0.0.0/8, 192.0.2.7 or fd00::/8; names are not looked up";
            report.error_with(&at, message, hint.to_owned());
            continue;
        };
        if network != network.trunc() {
            let hint = format!("write {}", network.trunc());
            report.warn(
                &at,
                "the address has bits beyond its network's prefix",
                hint,
            );
        }
        networks.push(unmapped(network.trunc()));
    }
    networks
}

fn network(text: &str) -> Option<IpNet> {
    let alone = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(alone)
}

/// A network of IPv4 addresses that are written as IPv6 ones, as the network it means.
fn unmapped(network: IpNet) -> IpNet {
    let IpAddr::V4(address) = network.addr().to_canonical() else {
        return network;
    };
    let bits = network.prefix_len().checked_sub(match network {
        IpNet::V4(_) => 0,
        IpNet::V6(_) => MAPPED,
    });
    let mapped = bits.and_then(|bits| Ipv4Net::new(address, bits).ok());
    mapped.map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_read_however_it_is_written() {
        let table = [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1/128"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("::/0", "::/0"),
        ];
        for (text, expected) in table {
            let read = unmapped(network(text).unwrap());
            assert_eq!(read.to_string(), expected, "{text}");
        }
        for text in ["", "10.0.0.0/33", "10.0.0", "proxy.internal", "10.0.0.1:80"] {
            assert_eq!(network(text), None, "{text}");
        }
    }
}
