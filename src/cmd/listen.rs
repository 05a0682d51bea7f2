//! Owns the listeners' sockets: bound here before the server starts, so that port 0 becomes a real one, and one
//! that is taken an error instead of a panic. Must never accept a connection.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted; the kernel has a limit of its own (`somaxconn`).
const BACKLOG: i32 = 65535;

/// Binds a listener.
///
/// # Errors
/// The address is taken or not ours.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a last process that still linger do not matter.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_an_error() {
        let any = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let taken = any.local_addr().unwrap();
        assert_ne!(taken.port(), 0);
        assert!(bind(taken).is_err());
    }
}
