//! The open listeners of the process: a reload opens, changes and closes them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::config::{Listener, ListenerAddress};
use crate::frontend::listener::{BoundListener, ListenerError, Neighbours, bind};

/// One listener, open on all workers.
#[derive(Debug)]
pub struct OpenListener {
    settings: ArcSwap<Listener>,
    /// A socket for each worker, until that worker takes it. Locked once a worker, at start or at a reload.
    sockets: Mutex<Vec<Option<BoundListener>>>,
    closed: watch::Sender<bool>,
}

impl OpenListener {
    fn open(settings: &Listener, workers: usize, neighbours: Neighbours) -> Result<Arc<Self>, ListenerError> {
        let sockets = bind(settings, workers, neighbours)?.into_iter().map(Some).collect();
        Ok(Arc::new(Self {
            settings: ArcSwap::from_pointee(settings.clone()),
            sockets: Mutex::new(sockets),
            closed: watch::Sender::new(false),
        }))
    }

    /// What a client that comes now meets.
    pub(crate) fn settings(&self) -> Arc<Listener> {
        self.settings.load_full()
    }

    /// The socket of a worker, by its number, once.
    pub(crate) fn take(&self, worker: usize) -> Option<BoundListener> {
        self.sockets.lock().get_mut(worker)?.take()
    }

    /// Waits until a reload has closed it. Cancel-safe.
    pub(crate) async fn closed(&self) {
        // The sender lives in `self`.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    fn close(&self) {
        if let ListenerAddress::Unix(path) = &self.settings.load().address {
            // While its socket is open nobody else can have taken the path; a file that is gone is gone.
            let _ = std::fs::remove_file(path);
        }
        self.closed.send_replace(true);
        self.sockets.lock().clear();
    }
}

/// All of them. See the module's text.
#[derive(Debug)]
pub struct Listeners {
    open: watch::Sender<Vec<Arc<OpenListener>>>,
    workers: usize,
}

/// The listeners of another configuration: what is new is open, and nothing has changed yet.
#[derive(Debug)]
pub struct NextListeners(Vec<(Arc<OpenListener>, Listener)>);

impl Listeners {
    /// Opens `settings` for `workers` workers.
    ///
    /// # Errors
    /// One cannot be opened.
    pub fn open(settings: &[Listener], workers: usize) -> Result<Self, ListenerError> {
        let listeners = Self { open: watch::Sender::new(Vec::new()), workers };
        listeners.change(listeners.prepare(settings)?);
        Ok(listeners)
    }

    /// Opens what `settings` have and this has not.
    ///
    /// # Errors
    /// One cannot be opened; what was opened before it is closed again.
    pub fn prepare(&self, settings: &[Listener]) -> Result<NextListeners, ListenerError> {
        let open = self.open.borrow();
        let goes = |address: &ListenerAddress| settings.iter().all(|kept| kept.address != *address);
        let mut next = Vec::with_capacity(settings.len());
        for settings in settings {
            let known = open.iter().find(|listener| listener.settings.load().address == settings.address);
            let listener = match known {
                Some(listener) => Arc::clone(listener),
                None => {
                    let in_the_way = open.iter().any(|listener| {
                        let address = &listener.settings.load().address;
                        goes(address) && overlap(address, &settings.address)
                    });
                    let neighbours = if in_the_way { Neighbours::Own } else { Neighbours::None };
                    OpenListener::open(settings, self.workers, neighbours)?
                }
            };
            next.push((listener, settings.clone()));
        }
        Ok(NextListeners(next))
    }

    /// Goes over to `next`. Clients that are connected stay, whatever becomes of the listener they came through.
    pub fn change(&self, next: NextListeners) {
        let next = next.0.into_iter().map(|(listener, settings)| {
            listener.settings.store(Arc::new(settings));
            listener
        });
        let next: Vec<_> = next.collect();
        let before = self.open.send_replace(next.clone());
        for gone in before.iter().filter(|listener| !next.iter().any(|kept| Arc::ptr_eq(kept, listener))) {
            gone.close();
        }
    }

    /// What is open, at each change.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<Vec<Arc<OpenListener>>> {
        self.open.subscribe()
    }
}

/// Whether two addresses are in each other's way: the same port on all interfaces and on one.
fn overlap(one: &ListenerAddress, other: &ListenerAddress) -> bool {
    let (ListenerAddress::Tcp(one), ListenerAddress::Tcp(other)) = (one, other) else { return false };
    one.port() == other.port() && (one.ip().is_unspecified() || other.ip().is_unspecified())
}
