//! Owns the listeners' addresses: the data listeners are bound here, and the admin port is made sure of before
//! Pingora binds it, so that port 0 becomes a real one, and one that is taken an error instead of a panic. Must
//! never accept a connection.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that may wait to be accepted; the kernel has a limit of its own (`somaxconn`).
const BACKLOG: i32 = 65535;

/// Binds a data listener.
///
/// # Errors
/// The address is taken or not ours.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = stream_socket(address)?;
    // Connections of a last process that still linger do not matter.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn stream_socket(address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    Socket::new(domain, Type::STREAM, Some(Protocol::TCP))
}

/// An address that can be bound, and what holds a port taken by chance until then.
#[derive(Debug)]
pub(crate) struct Reserved {
    pub(crate) address: SocketAddr,
    /// Bound and never listening: the kernel gives it no connection, and nobody else the port.
    placeholder: Option<Socket>,
}

impl Reserved {
    /// Whether the listener must share its port with the placeholder.
    pub(crate) fn shares_port(&self) -> bool {
        self.placeholder.is_some()
    }
}

/// Makes sure that an address can be bound.
///
/// # Errors
/// The address is taken or not ours.
pub(crate) fn reserve(address: SocketAddr) -> io::Result<Reserved> {
    let socket = stream_socket(address)?;
    if address.port() != 0 {
        // As Pingora will bind it: connections of a last process that still linger do not matter.
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(1)?;
        return Ok(Reserved {
            address,
            placeholder: None,
        });
    }
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    let address = socket
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::Error::other("the listener has no address"))?;
    Ok(Reserved {
        address,
        placeholder: Some(socket),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_zero_becomes_a_port_that_a_sharing_listener_can_bind() {
        let reserved = reserve("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_ne!(reserved.address.port(), 0);
        assert!(reserved.shares_port());
        assert!(TcpListener::bind(reserved.address).is_err());
    }

    #[test]
    fn a_taken_port_is_an_error() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(reserve(taken.local_addr().unwrap()).is_err());
        assert!(bind(taken.local_addr().unwrap()).is_err());
        let any = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_ne!(any.local_addr().unwrap().port(), 0);
    }
}
