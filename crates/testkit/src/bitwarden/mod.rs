//! An identity and API server in memory, for clients of Bitwarden: the official command line logs in to it, and
//! so does ours. It speaks TLS under a CA of its own, like a self-hosted server would.
//!
//! It answers like Vaultwarden or like the official server, as [`Flavour`] says, keeps what was asked in a list,
//! and can be told to ask for second factors or to fail.

mod contents;
mod cose;
mod factor;
mod handlers;
mod official;
mod old;
mod register;
mod tls;
mod world;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard};

pub use bitwarden_crypto::SymmetricKeyAlgorithm;
pub use contents::{Contents, ItemSpec};
pub use official::official;
pub use world::{Account, AccountSpec, Flavour, Recorded, World};

/// A running server; it stops when this is dropped.
pub struct BitwardenServer {
    address: SocketAddr,
    ca: String,
    world: Arc<Mutex<World>>,
    handle: axum_server::Handle<SocketAddr>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl BitwardenServer {
    /// Starts on a free port of 127.0.0.1 with these accounts.
    ///
    /// # Panics
    /// When no port or no certificate can be had.
    pub fn start(flavour: Flavour, accounts: Vec<Account>) -> Self {
        Self::start_as(&tls::Identity::generate(), flavour, accounts)
    }

    /// The same with a certificate that signs itself and calls itself a CA.
    ///
    /// # Panics
    /// As [`BitwardenServer::start`].
    pub fn start_self_signed(flavour: Flavour, accounts: Vec<Account>) -> Self {
        Self::start_as(&tls::Identity::self_signed(), flavour, accounts)
    }

    #[allow(clippy::expect_used, reason = "a test cannot go on without its server")]
    fn start_as(tls: &tls::Identity, flavour: Flavour, accounts: Vec<Account>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a listener without blocking");
        let address = listener.local_addr().expect("the listener's address");
        let base = format!("https://localhost:{}", address.port());
        let world = Arc::new(Mutex::new(World::new(flavour, base, accounts)));
        let router = handlers::router(Arc::clone(&world));
        let handle = axum_server::Handle::new();
        let (config, inner) = (tls.config(), handle.clone());
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let server = axum_server::from_tcp_rustls(listener, config).expect("a TLS server");
                let _ = server.handle(inner).serve(router.into_make_service()).await;
            });
        });
        Self { address, ca: tls.ca_pem().to_owned(), world, handle, thread: Some(thread) }
    }

    /// `https://localhost:PORT`.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// The CA's certificate, for `NODE_EXTRA_CA_CERTS`.
    pub fn ca_pem(&self) -> &str {
        &self.ca
    }

    /// What the server holds and how it behaves; changes count from the next request on.
    ///
    /// # Panics
    /// When a request handler panicked.
    #[allow(clippy::expect_used, reason = "a poisoned lock means a failed test")]
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("no handler panicked")
    }

    /// The requests so far as `METHOD /path`, in order.
    pub fn calls(&self) -> Vec<String> {
        self.world().requests.iter().map(|r| format!("{} {}", r.method, r.path)).collect()
    }

    /// Stops answering, as a server that went down.
    pub fn stop(&mut self) {
        self.handle.shutdown();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for BitwardenServer {
    fn drop(&mut self) {
        self.stop();
    }
}
