//! Owns the rules of a provider's `addresses`. Must never look one up.

use std::net::SocketAddr;

use crate::config::report::Report;
use crate::config::scalar::Text;
use crate::config::trail::Trail;

/// The addresses, each once.
pub(super) fn compile(written: &[Text], at: &Trail, report: &mut Report<'_>) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for (index, Text(text)) in written.iter().enumerate() {
        let at = at.index(index);
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() == 0 => report.error(&at, "the port may not be 0"),
            Ok(address) if addresses.contains(&address) => {
                report.error(&at, format!("{} is listed twice", report.quoted(&at)));
            }
            Ok(address) => addresses.push(address),
            Err(_) => {
                let message = format!("{} is not an address and port", report.quoted(&at));
                let hint = "write 10.0.0.11:8000 or [fd00::1]:8000; names belong into `base_url`";
                report.error_with(&at, message, hint.to_owned());
            }
        }
    }
    addresses
}
