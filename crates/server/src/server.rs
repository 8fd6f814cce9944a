//! Starting and stopping.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use durward_broker::approval::{Actor, Approval, AuditEntry, AuditEvent, Event, Write};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Error;
use crate::agent::{self, AgentPlane};
use crate::auth::Accounts;
use crate::away::Presence;
use crate::clock::Clock;
use crate::config::{Config, Limits, open_store};
use crate::control::{self, About, ControlPlane};
use crate::device::DeviceService;
use crate::engine::{Engine, VaultService, VaultSource};
use crate::home::{Home, HomeLock};
use crate::http::{Callers, Connections, HostRule, serve};
use crate::keys::{approver_key, os_rng, rest_key};
use crate::notify;
use crate::policy::PolicyWatch;
use crate::spake::{self, SpakeService};
use crate::tls::Tls;
use crate::token::Tokens;
use durward_files::create_private_dir;

/// A server that is about to run.
pub struct Server;

/// A server that runs.
pub struct Running {
    /// Where agents reach it.
    pub listen: SocketAddr,
    /// Where the control port is, when there is one.
    pub control: Option<SocketAddr>,
    stop: Arc<watch::Sender<bool>>,
    tasks: Vec<JoinHandle<()>>,
    timers: Vec<JoinHandle<()>>,
    engine: Arc<Engine>,
    accounts: Option<Arc<Accounts>>,
    devices: Option<Arc<DeviceService>>,
    _lock: HomeLock,
}

impl Server {
    /// Takes the folder, reads what was stored, listens. When this returns, both planes answer.
    pub async fn start(
        config: Config,
        home: Home,
        vault: VaultSource,
        clock: Clock,
    ) -> Result<Running, Error> {
        if config.accounts.is_some() && config.tls.is_none() && !config.listen.ip().is_loopback() {
            return Err(Error::PlainAccounts(config.listen));
        }
        let lock = home.lock()?;
        let agents = bind(config.listen, "--listen").await?;
        let control = match config.control {
            Some(address) if !address.ip().is_loopback() => return Err(Error::ControlNotLoopback(address)),
            Some(address) => Some(bind(address, "--control").await?),
            None => None,
        };
        let listen = local(&agents, config.listen)?;
        let control_address = control.as_ref().map(|listener| local(listener, listen)).transpose()?;
        let callers_clock = clock.clone();
        let spake = SpakeService::new(config.limits.spake(), clock.clone());
        let tls = config.tls.as_ref().map(|tls| Tls::open(tls, &home, listen)).transpose()?;
        let limits = Arc::new(config.limits.clone());
        let stop = Arc::new(watch::channel(false).0);
        let (engine, accounts, approver_id) =
            engine(&config, &home, vault, clock.clone(), &limits, stop.subscribe()).await?;
        let devices = match &config.devices {
            Some(devices) => {
                let (store, limits, tls) = (engine.store.clone(), Arc::clone(&limits), config.tls.is_some());
                let engine = Arc::clone(&engine);
                DeviceService::open(store, engine, &home, clock, devices, limits, listen, tls).await?
            }
            None => None,
        };
        if devices.is_none() {
            engine.handle(Event::Approvers { devices: Vec::new() });
        }
        let tokens = Tokens::new(home.clone());
        tokens.ensure().map_err(Error::file(home.folder()))?;
        let socket = bind_socket(&home.control_socket())?;

        let started_at = engine.now().wall;
        let about =
            About { home, listen, tls: tls.is_some(), control: control_address, approver_id, started_at };
        let plane = ControlPlane {
            engine: Arc::clone(&engine),
            accounts: accounts.clone(),
            devices: devices.clone(),
            limits: Arc::clone(&limits),
            host: HostRule::Socket,
            tokens: Arc::new(tokens),
            about: Arc::new(about),
            stop: Arc::clone(&stop),
        };
        let callers =
            Arc::new(Callers::new(listen, config.trusted_proxies, Arc::clone(&limits), callers_clock));
        let agent_plane = AgentPlane {
            engine: Arc::clone(&engine),
            limits,
            callers: Arc::clone(&callers),
            host: HostRule::for_listener(listen),
            allowed_origins: Arc::new(config.allowed_origins),
            devices: devices.clone(),
            accounts: accounts.clone(),
        };

        let mut tasks = Vec::new();
        let mut spawn = |from, router, callers| {
            let mut stopping = stop.subscribe();
            let stopped = async move {
                let _ = stopping.wait_for(|stop| *stop).await;
            };
            tasks.push(tokio::spawn(serve(from, router, config.limits.clone(), callers, stopped)));
        };
        let others = || spake::routes(Arc::clone(&spake), Arc::clone(&plane.limits));
        spawn(Connections::Unix(socket), control::router(plane.clone(), others()), None);
        if let (Some(listener), Some(address)) = (control, control_address) {
            let plane = ControlPlane { host: HostRule::for_listener(address), ..plane.clone() };
            spawn(Connections::Tcp(listener), control::router(plane, others()), None);
        }
        let agents = match &tls {
            Some(tls) => Connections::Tls(agents, tls.acceptor()?),
            None => Connections::Tcp(agents),
        };
        spawn(agents, agent::router(agent_plane), Some(callers));
        let mut timers = vec![tokio::spawn(Arc::clone(&engine).run_timer()), tokio::spawn(spake.run_timer())];
        timers.extend(accounts.clone().map(|accounts| tokio::spawn(accounts.run())));
        if let Some(devices) = &devices {
            timers.push(tokio::spawn(Arc::clone(devices).run_timer()));
            timers.push(tokio::spawn(Arc::clone(devices).run_delivery()));
            timers.push(tokio::spawn(Arc::clone(devices).run_asked()));
        }
        if !config.notifiers.is_empty() {
            timers.push(tokio::spawn(notify::run(engine.watch(), config.notifiers)));
        }
        timers.extend(tls.map(|tls| tokio::spawn(tls.watch())));
        Ok(Running {
            listen,
            control: control_address,
            stop,
            tasks,
            timers,
            engine,
            accounts,
            devices,
            _lock: lock,
        })
    }
}

impl Running {
    /// Resolves when somebody asked the server to stop.
    pub async fn stopping(&self) {
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    /// Reads the policy file now. With a mistake in it the rules stay as they were, and the log says so.
    pub fn reload_policy(&self) -> Result<(), String> {
        self.engine.refresh_policy(true)
    }

    /// Finishes what is in flight, writes it down and lets go of the folder.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Some(devices) = &self.devices {
            devices.stop();
        }
        for task in self.tasks {
            let _ = task.await;
        }
        for timer in self.timers {
            timer.abort();
        }
        if let Some(accounts) = &self.accounts {
            accounts.close().await;
        }
        self.engine.vault.lock();
        self.engine.handle(Event::Stopping);
        let entry = AuditEntry::new(self.engine.now().wall, AuditEvent::Stopped, Actor::System);
        if let Err(error) = self.engine.save(vec![Write::Audit(entry)]).await {
            tracing::error!(%error, "the stop could not be written to the audit log");
        }
        self.engine.store.clone().close().await;
    }
}

async fn engine(
    config: &Config,
    home: &Home,
    vault: VaultSource,
    clock: Clock,
    limits: &Arc<Limits>,
    stopping: watch::Receiver<bool>,
) -> Result<(Arc<Engine>, Option<Arc<Accounts>>, durward_protocol::ApproverId), Error> {
    let store = open_store(home, config.database_url.as_deref(), config.durability).await?;
    let rest = rest_key(home, config.rest_key.clone()).await?;
    // First: on a shared database this notices a wrong rest key before anything is written under it.
    let accounts = match &config.accounts {
        Some(accounts) => {
            let (limits, told) = (Arc::clone(limits), &config.notifiers);
            Some(
                Accounts::open(
                    store.clone(),
                    &rest,
                    clock.clone(),
                    accounts,
                    &config.trusted_proxies,
                    limits,
                    told,
                )
                .await?,
            )
        }
        None => None,
    };
    let now = clock.now();
    let snapshot = store.load(now.steady).await?;
    let head = store.head().await?;
    let (approver, write) = approver_key(&snapshot.settings, &rest)?;
    if let Some(write) = write {
        store.submit(vec![write]).await?;
    }
    let approver_id = approver.id().clone();
    let presence = Presence::restore(&snapshot.settings);
    let mut approval = Approval::new(config.approval.clone(), approver, rest);
    let effects = approval.restore(snapshot, head, now, &mut os_rng());
    let engine = Engine::new(
        approval,
        store,
        VaultService::new(vault),
        PolicyWatch::new(config.policy.clone()),
        presence,
        clock,
        stopping,
    );
    engine.start(effects);
    engine.refresh_policy(true).map_err(Error::Policy)?;
    Ok((engine, accounts, approver_id))
}

pub(crate) async fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => Error::PortTaken { address, flag },
        _ => Error::Listen { address, flag, source },
    })
}

pub(crate) fn local(listener: &TcpListener, address: SocketAddr) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|source| Error::Listen { address, flag: "--listen", source })
}

/// The folder is 0700 before the socket exists, so there is no moment in which another user could connect.
fn bind_socket(path: &Path) -> Result<UnixListener, Error> {
    use std::os::unix::fs::PermissionsExt as _;
    if path.as_os_str().len() > 100 {
        return Err(Error::SocketPath { path: path.to_owned() });
    }
    if let Some(folder) = path.parent() {
        create_private_dir(folder).map_err(Error::file(folder))?;
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(folder, private).map_err(Error::file(folder))?;
    }
    // We hold the folder's lock: a socket that is there belongs to nobody alive.
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => return Err(Error::File { path: path.to_owned(), source }),
    }
    let listener = UnixListener::bind(path).map_err(Error::file(path))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(Error::file(path))?;
    Ok(listener)
}
