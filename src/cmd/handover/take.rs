//! Owns the new process's side of a handover. Must never believe that a socket is what it is said to be, or say
//! that the process serves before it does.

use std::io::{self, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::cmsg_space;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

use crate::cmd::handover::{FORMAT, LONGEST_OFFER, MOST_SOCKETS, Offer, SERVING};

/// The longest the old process may take to answer: it writes its health to a file first.
const ANSWER: Duration = Duration::from_secs(30);

/// The process that serves until this one does.
#[derive(Debug)]
pub(crate) struct Predecessor {
    stream: UnixStream,
    listeners: Vec<(SocketAddr, TcpListener)>,
}

/// Asks the process that waits at the path for its listeners; `None`: nobody waits there.
///
/// # Errors
/// It does not answer, or not as a process of this version would.
pub(crate) fn ask(path: &Path) -> anyhow::Result<Option<Predecessor>> {
    let stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if nobody_waits(&error) => return Ok(None),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    stream.set_read_timeout(Some(ANSWER))?;
    let (offer, sockets) = receive(&stream).context("the process that serves did not answer")?;
    ensure!(
        offer.format == FORMAT && offer.listeners.len() == sockets.len(),
        "the process that serves is of a version that hands over in another way"
    );
    let listeners = offer.listeners.into_iter().zip(sockets);
    let listeners = listeners.map(|(address, socket)| Ok((address, checked(address, socket)?)));
    Ok(Some(Predecessor {
        listeners: listeners.collect::<anyhow::Result<_>>()?,
        stream,
    }))
}

impl Predecessor {
    /// The socket that it accepts connections on at this address.
    pub(crate) fn listener(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let mut all = self.listeners.iter();
        let at = all.position(|(theirs, _)| *theirs == address)?;
        Some(self.listeners.swap_remove(at).1)
    }

    /// Tells it that this process serves. It may have ended: then there is nobody left to take over from.
    pub(crate) fn tell(mut self) {
        if let Err(error) = self.stream.write_all(SERVING) {
            tracing::warn!(%error, "the process that served before is not there any more");
        }
    }
}

fn nobody_waits(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused];
    kinds.contains(&error.kind())
}

fn checked(address: SocketAddr, socket: OwnedFd) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::from(socket);
    let real = listener.local_addr();
    ensure!(
        real.as_ref().is_ok_and(|real| *real == address),
        "what was handed over for {address} is {real:?}"
    );
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Reads up to the line's end, and keeps what comes beside it.
fn receive(stream: &UnixStream) -> anyhow::Result<(Offer, Vec<OwnedFd>)> {
    let (mut line, mut sockets) = (Vec::new(), Vec::new());
    while line.last() != Some(&b'\n') {
        let mut piece = [0; 4096];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST_SOCKETS))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut into = [IoSliceMut::new(&mut piece)];
        let read = recvmsg(stream, &mut into, &mut beside, RecvFlags::CMSG_CLOEXEC)?.bytes;
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                sockets.extend(rights);
            }
        }
        if read == 0 {
            bail!("it ended the conversation");
        }
        line.extend_from_slice(piece.get(..read).unwrap_or_default());
        ensure!(line.len() <= LONGEST_OFFER, "it does not come to an end");
    }
    Ok((serde_json::from_slice(&line)?, sockets))
}
