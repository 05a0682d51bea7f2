//! The edge floor: everything that touches sockets, clocks and files on behalf of the pure floors. In reading
//! order: `clock`, `lifecycle`, `dns`, `auth`, `tls`, `balance`, `peer`, `routes`, `template`, `generation`,
//! `telemetry`, `proxy`, `admin`, `plugin` (all of it as one value).
//! Must never decide routing: that is `core`'s.

pub mod clock;
pub mod lifecycle;
pub mod dns;
pub mod auth;
pub mod tls;
pub mod balance;
pub mod peer;
pub mod routes;
pub mod template;
pub mod generation;
pub mod telemetry;
pub mod proxy;
pub mod admin;
pub mod plugin;
