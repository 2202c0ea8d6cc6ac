//! What stands between the daemon and its broker: a local port that passes bytes on, until it is told not to.
//!
//! Always: bytes are passed unchanged and in order, or the connection ends. Absent: TLS; it goes through.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    time::sleep,
};

/// What passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Everything.
    Open,
    /// Everything, each piece after this time.
    Slow(Duration),
    /// What the daemon says; nothing comes back: what it publishes arrives, and it does not learn so.
    Deaf,
    /// Nothing either way, and no end of the connection tells so (half-open).
    Dead,
    /// New connections end at once.
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

impl Mode {
    const fn passes(self, way: Way) -> bool {
        match (self, way) {
            (Self::Open | Self::Slow(_), _) | (Self::Deaf, Way::There) => true,
            (Self::Deaf, Way::Back) | (Self::Dead | Self::Closed, _) => false,
        }
    }
}

#[derive(Debug)]
struct Shared {
    target: AtomicU16,
    mode: watch::Sender<Mode>,
    /// Whoever sees another number than at its beginning ends.
    cuts: watch::Sender<u64>,
    connections: AtomicUsize,
}

/// The port.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Wire {
    pub(crate) async fn lay() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (target, connections) = (AtomicU16::new(0), AtomicUsize::new(0));
        let shared = Arc::new(Shared { target, mode: watch::Sender::new(Mode::Open), cuts: watch::Sender::new(0), connections });
        let own = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            loop {
                // Out of descriptors, for example: the next one may do.
                let Ok((stream, _)) = listener.accept().await else { continue };
                let shared = Arc::clone(&own);
                tokio::spawn(async move { shared.carry(stream).await });
            }
        });
        Self { port, shared, task }
    }

    /// Where it leads.
    pub(crate) fn lead_to(&self, port: u16) {
        self.shared.target.store(port, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// Ends every connection.
    pub(crate) fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// How many connections there were so far.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}

impl Shared {
    async fn carry(&self, daemon: TcpStream) {
        if *self.mode.borrow() == Mode::Closed {
            return;
        }
        let Ok(broker) = TcpStream::connect(("127.0.0.1", self.target.load(Ordering::Relaxed))).await else { return };
        self.connections.fetch_add(1, Ordering::Relaxed);
        let _ = (daemon.set_nodelay(true), broker.set_nodelay(true));
        let ((from_daemon, to_daemon), (from_broker, to_broker)) = (daemon.into_split(), broker.into_split());
        let mut cuts = self.cuts.subscribe();
        tokio::select! {
            () = self.pass(Way::There, from_daemon, to_broker) => {}
            () = self.pass(Way::Back, from_broker, to_daemon) => {}
            _ = cuts.changed() => {}
        }
    }

    async fn pass(&self, way: Way, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut mode = self.mode.subscribe();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let Ok(size) = from.read(&mut buffer).await else { return };
            if size == 0 || mode.wait_for(|mode| mode.passes(way)).await.is_err() {
                return;
            }
            let now = *mode.borrow();
            if let Mode::Slow(pause) = now {
                sleep(pause).await;
            }
            if to.write_all(&buffer[..size]).await.is_err() {
                return;
            }
        }
    }
}
