//! Owns the old process's side of a handover: the socket where a successor asks, and what it is sent. Must never
//! close the doors for a successor that does not serve, or answer another user's process.

use std::fs;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::cmsg_space;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use crate::cmd::handover::{Doors, FORMAT, MOST_SOCKETS, Offer, SERVING};
use crate::edge::plugin::Mainstay;

/// The longest a successor may take from its sockets to its first request: a large configuration on a slow disk.
const START: Duration = Duration::from_secs(60);
/// After a failure that is ours, such as no descriptor left.
const PAUSE: Duration = Duration::from_secs(1);

/// Waits for a successor.
pub(crate) struct Giver {
    path: PathBuf,
    /// Where the socket's file is: beside its path until this process serves.
    at: PathBuf,
    /// Of the file: one of another process's may have taken its place.
    inode: u64,
    listener: UnixListener,
    sockets: Vec<(SocketAddr, TcpListener)>,
    doors: Doors,
    mainstay: Mainstay,
}

impl Giver {
    /// Makes the socket, which nobody finds yet.
    ///
    /// # Errors
    /// The socket cannot be made, or there are more listeners than one message carries.
    pub(crate) fn prepare(
        path: &Path,
        sockets: Vec<(SocketAddr, TcpListener)>,
        doors: Doors,
        mainstay: Mainstay,
    ) -> anyhow::Result<Self> {
        let most = MOST_SOCKETS;
        ensure!(sockets.len() <= most, "more than {most} listeners");
        let mut at = path.as_os_str().to_owned();
        at.push(".new");
        let at = PathBuf::from(at);
        // Left by a process that ended in the middle of this.
        fs::remove_file(&at).ok();
        let listener = UnixListener::bind(&at).with_context(|| at.display().to_string())?;
        // Only processes of this user may connect, before anyone can.
        fs::set_permissions(&at, fs::Permissions::from_mode(0o600))?;
        Ok(Self {
            path: path.to_owned(),
            inode: fs::metadata(&at)?.ino(),
            at,
            listener,
            sockets,
            doors,
            mainstay,
        })
    }

    /// Takes the place of whoever waited at the path, and serves one successor after the other until one has taken
    /// over. The sockets are let go with the task: a listener that the successor does not want refuses clients
    /// instead of leaving them unheard.
    pub(super) async fn run(mut self) {
        if let Err(error) = fs::rename(&self.at, &self.path) {
            tracing::error!(%error, "no successor will find this process");
            return;
        }
        self.at.clone_from(&self.path);
        loop {
            let Ok((successor, _)) = self.listener.accept().await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            match self.give(successor).await {
                Ok(()) => break,
                Err(error) => {
                    let why = format!("{error:#}");
                    tracing::warn!(
                        why,
                        "a successor asked and did not start: this process serves on"
                    );
                }
            }
        }
        tracing::info!("a successor serves: no more connections are accepted here");
        // Its file of health is newer than what this process would leave at its end.
        self.mainstay.lifecycle().hand_over();
        self.doors.close();
    }

    async fn give(&self, mut successor: UnixStream) -> anyhow::Result<()> {
        let (theirs, ours) = (successor.peer_cred()?.uid(), rustix::process::geteuid());
        ensure!(theirs == ours.as_raw(), "it belongs to user {theirs}");
        tracing::info!(
            pid = successor.peer_cred()?.pid(),
            "a successor asks for the listeners"
        );
        self.mainstay.keep_health();
        self.send(&successor)
            .await
            .context("sending the listeners")?;
        let mut said = [0; SERVING.len()];
        timeout(START, successor.read_exact(&mut said))
            .await
            .context("it took too long")?
            .context("it went away")?;
        ensure!(said == SERVING, "it said something else");
        Ok(())
    }

    async fn send(&self, successor: &UnixStream) -> anyhow::Result<()> {
        let offer = Offer {
            format: FORMAT,
            listeners: self.sockets.iter().map(|(address, _)| *address).collect(),
        };
        let mut line = serde_json::to_vec(&offer)?;
        line.push(b'\n');
        let sockets: Vec<_> = self
            .sockets
            .iter()
            .map(|(_, socket)| socket.as_fd())
            .collect();
        let once = || {
            let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST_SOCKETS))];
            let mut beside = SendAncillaryBuffer::new(&mut space);
            let fits = beside.push(SendAncillaryMessage::ScmRights(&sockets));
            let line = [IoSlice::new(&line)];
            match fits {
                true => Ok(sendmsg(successor, &line, &mut beside, SendFlags::NOSIGNAL)?),
                false => Err(io::Error::other("too many listeners")),
            }
        };
        let sent = successor.async_io(Interest::WRITABLE, once).await?;
        ensure!(sent == line.len(), "the successor takes no more");
        Ok(())
    }
}

impl Drop for Giver {
    fn drop(&mut self) {
        let is_ours = fs::metadata(&self.at).is_ok_and(|file| file.ino() == self.inode);
        if is_ours {
            fs::remove_file(&self.at).ok();
        }
    }
}
