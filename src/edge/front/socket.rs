//! Owns the socket of a client as Pingora takes it: buffered, with its peer's address, and with the place it
//! holds, which is given back where the socket is dropped. Must never outlive the end of its connection.

use std::fmt;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use async_trait::async_trait;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufStream, ReadBuf};
use tokio::net::TcpStream;

use crate::edge::clock::wall_clock;
use crate::edge::lifecycle::Place;

/// Buffers of a client's connection: Pingora's own of 64 KiB cost 50 KiB more a stream.
const READ_BUFFER: usize = 4096;
const WRITE_BUFFER: usize = 8192;

/// A client's connection.
pub(super) struct Socket {
    stream: BufStream<TcpStream>,
    digest: Arc<SocketDigest>,
    since: SystemTime,
    _place: Place,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, peer: SocketAddr, place: Place) -> Self {
        let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
        // The cell is new: there is nothing in it.
        digest.peer_addr.set(Some(peer.into())).ok();
        Self {
            stream: BufStream::with_capacity(READ_BUFFER, WRITE_BUFFER, stream),
            digest: Arc::new(digest),
            since: wall_clock(),
            _place: place,
        }
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut BufStream<TcpStream>> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl fmt::Debug for Socket {
    /// Without the buffers: they hold what clients say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.digest.peer_addr();
        f.debug_struct("Socket")
            .field("peer", &peer)
            .finish_non_exhaustive()
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream().poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for Socket {
    async fn shutdown(&mut self) {
        if let Err(error) = self.stream.shutdown().await {
            tracing::debug!(%error, "a connection was gone before it was closed");
        }
    }
}

impl UniqueID for Socket {
    fn id(&self) -> UniqueIDType {
        self.stream.get_ref().as_raw_fd()
    }
}

impl GetTimingDigest for Socket {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        vec![Some(TimingDigest {
            established_ts: self.since,
            ..TimingDigest::default()
        })]
    }
}

impl GetProxyDigest for Socket {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}

impl GetSocketDigest for Socket {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.digest.clone())
    }
}

impl Ssl for Socket {}

/// The protocol was told before the socket was made.
impl Peek for Socket {}
