//! The agent: a profile's folder, its session if it has one, and connections to its approver.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use durward_protocol::wire::{RevokeResponse, SealedRequest, SessionStatus};
use durward_protocol::{
    Acknowledgement, AgentId, AgentName, Header, RequestId, SessionRevoke, Side, open, seal,
};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use rand_core::CryptoRng;

use crate::http::Http;
use crate::profile::{Profile, random_agent_id};
use crate::receipts::Record;
use crate::session::Session;
use crate::{
    ApproverUrl, Clock, Error, PendingRequest, ProfileRecord, RestKeySource, SessionInfo, SystemClock,
    Timeouts, files, pending, retry,
};

/// What an agent needs to know before it starts.
#[derive(Clone, Debug)]
pub struct Config {
    /// The profile's folder. Made when it is missing; several processes may share it.
    pub folder: PathBuf,
    /// Where the key lies under which session keys are sealed on disk.
    pub rest_key: RestKeySource,
    /// The approver; else the one of the profile, else [`crate::DEFAULT_APPROVER`].
    pub approver: Option<ApproverUrl>,
    /// The id a new profile gets, instead of a random one.
    pub agent_id: Option<AgentId>,
    /// The name a new profile gets, instead of its id.
    pub agent_name: Option<AgentName>,
    /// Limits on waiting.
    pub timeouts: Timeouts,
}

impl Config {
    /// The usual: a random id, `rest.key` in `keys`, the approver on this machine.
    pub fn new(folder: impl Into<PathBuf>, keys: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            rest_key: RestKeySource::Folder(keys.into()),
            approver: None,
            agent_id: None,
            agent_name: None,
            timeouts: Timeouts::default(),
        }
    }
}

/// An agent. Its methods take `&self`: share it between tasks.
pub struct Agent {
    pub(crate) profile: Profile,
    pub(crate) receipts: Record,
    pub(crate) record: RwLock<ProfileRecord>,
    pub(crate) rest_key: RestKeySource,
    pub(crate) http: Http,
    pub(crate) clock: Arc<dyn Clock>,
    rng: Mutex<Box<dyn CryptoRng + Send>>,
    session: RwLock<Option<Arc<Session>>>,
}

impl Agent {
    /// Reads the profile. Writes nothing; a new profile is written when it pairs.
    pub fn open(config: Config) -> Result<Self, Error> {
        // Asked once here, so that the generator's panicking adapter is known to have one.
        getrandom::fill(&mut [0; 8]).map_err(|_| Error::NoRandomness)?;
        Self::with_sources(config, Arc::new(SystemClock), Box::new(UnwrapErr(SysRng)))
    }

    /// The same with a clock and a generator of one's own, for tests.
    pub fn with_sources(
        config: Config,
        clock: Arc<dyn Clock>,
        mut rng: Box<dyn CryptoRng + Send>,
    ) -> Result<Self, Error> {
        let profile = Profile::new(config.folder);
        let record = match profile.load()? {
            Some(record) => record,
            None => new_record(config.agent_id, config.agent_name, &mut rng)?,
        };
        let approver = match (config.approver, &record.approver_url) {
            (Some(approver), _) => approver,
            (None, Some(known)) => known.parse()?,
            (None, None) => ApproverUrl::default(),
        };
        let agent = Self {
            http: Http::new(approver, config.timeouts)?,
            receipts: Record::new(profile.receipts_folder()),
            profile,
            record: RwLock::new(record),
            rest_key: config.rest_key,
            clock,
            rng: Mutex::new(rng),
            session: RwLock::new(None),
        };
        agent.reload()?;
        Ok(agent)
    }

    /// Who this agent is.
    pub fn profile(&self) -> ProfileRecord {
        read(&self.record).clone()
    }

    /// Where the approver is.
    pub fn approver(&self) -> &ApproverUrl {
        self.http.approver()
    }

    /// The session, when the agent is paired. Whether it still lives is the approver's to say.
    pub fn session(&self) -> Option<SessionInfo> {
        read(&self.session).as_ref().map(|session| session.info.clone())
    }

    /// What the approver says about the session. Plain: a hint. Asking does not count as use.
    pub async fn status(&self) -> Result<SessionStatus, Error> {
        let id = self.live_session()?.info.session_id.to_string();
        self.patiently(|| self.http.get("/session/status", Some(("session_id", &id)))).await
    }

    /// Ends the session at the approver, then forgets its keys here.
    pub async fn revoke(&self) -> Result<(), Error> {
        let session = self.live_session()?;
        self.patiently(|| async {
            let header = self.header();
            let body = self.sealed(&session, &SessionRevoke.to_plaintext(header)?)?;
            let answer: RevokeResponse = self.http.post("/session/revoke", &body).await?;
            let payload =
                answer.encrypted_payload.ok_or(Error::BadAnswer { reason: "it has no sealed answer" })?;
            check_acknowledgement(&session, &payload, header)
        })
        .await?;
        self.forget()
    }

    /// Forgets the session's keys and its pending requests here and tells nobody.
    pub fn forget(&self) -> Result<(), Error> {
        for request in self.pending_requests()? {
            pending::remove(&self.profile, request.id)?;
        }
        files::remove(&self.profile.unconfirmed_file())?;
        files::remove(&self.profile.session_file())?;
        *write(&self.session) = None;
        Ok(())
    }

    /// Requests of this profile that have had no verdict yet, oldest first.
    pub fn pending_requests(&self) -> Result<Vec<PendingRequest>, Error> {
        pending::list(&self.profile)
    }

    /// One of them.
    pub fn pending_request(&self, id: RequestId) -> Result<PendingRequest, Error> {
        let found = self.pending_requests()?.into_iter().find(|request| request.id == id);
        found.ok_or(Error::UnknownRequest)
    }

    /// Reads the session again: another process of the profile may have paired or forgotten.
    pub(crate) fn reload(&self) -> Result<Option<Arc<Session>>, Error> {
        let path = self.profile.session_file();
        let session = if path.exists() {
            Session::load(&path, self.rest_key.load()?.as_ref())?.map(|(session, _)| Arc::new(session))
        } else {
            None
        };
        write(&self.session).clone_from(&session);
        Ok(session)
    }

    pub(crate) fn live_session(&self) -> Result<Arc<Session>, Error> {
        read(&self.session).clone().ok_or(Error::NotPaired)
    }

    pub(crate) fn adopt(&self, session: Session) {
        *write(&self.session) = Some(Arc::new(session));
    }

    pub(crate) fn store_record(&self, record: ProfileRecord) -> Result<(), Error> {
        self.profile.store(&record)?;
        *write(&self.record) = record;
        Ok(())
    }

    pub(crate) fn rng(&self) -> MutexGuard<'_, Box<dyn CryptoRng + Send>> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn header(&self) -> Header {
        Header::new(self.clock.now(), &mut *self.rng())
    }

    pub(crate) fn sealed(&self, session: &Session, plaintext: &[u8]) -> Result<SealedRequest, Error> {
        let session_id = session.info.session_id;
        let payload = seal(&session.keys, Side::A, &session_id, plaintext, &mut *self.rng())?;
        Ok(SealedRequest { session_id, encrypted_payload: Some(payload) })
    }

    /// Three tries while the failure is transient.
    pub(crate) async fn patiently<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut failed = 0;
        loop {
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            failed += 1;
            let pause = retry::pause_after(failed, &mut *self.rng());
            match pause.filter(|_| error.is_transient()) {
                Some(pause) => {
                    tracing::debug!(%error, failed, "trying again");
                    self.clock.sleep(pause).await;
                }
                None => return Err(error),
            }
        }
    }
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent")
            .field("folder", &self.profile.folder())
            .field("approver", self.approver())
            .field("session", &self.session())
            .finish_non_exhaustive()
    }
}

/// The sealed `ok` must answer this very envelope.
pub(crate) fn check_acknowledgement(session: &Session, payload: &str, sent: Header) -> Result<(), Error> {
    let plaintext = open(&session.keys, Side::B, &session.info.session_id, payload)
        .map_err(|_| Error::BadAnswer { reason: "its envelope does not open" })?;
    let (_, answer) = Acknowledgement::parse(&plaintext)
        .map_err(|_| Error::BadAnswer { reason: "its envelope holds something else" })?;
    if answer.in_reply_to == sent.nonce {
        Ok(())
    } else {
        Err(Error::BadAnswer { reason: "it answers something else" })
    }
}

fn new_record(
    id: Option<AgentId>,
    name: Option<AgentName>,
    rng: &mut impl CryptoRng,
) -> Result<ProfileRecord, Error> {
    let agent_id = id.map_or_else(|| random_agent_id(rng), Ok)?;
    let agent_name = name.map_or_else(|| AgentName::parse(agent_id.as_str()), Ok)?;
    Ok(ProfileRecord { agent_id, agent_name, approver_url: None, approver_id: None })
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
