//! Skyward Air: sign-in, one-time code, session cookie, flight search. Small, and as strict as a site should be.

mod pages;

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use durward_client::{Clock as _, SystemClock};
use durward_protocol::SecretString;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE, HeaderValue, LOCATION, SET_COOKIE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use totp_rs::{Builder, Secret, Totp};
use url::form_urlencoded;
use zeroize::Zeroizing;

/// The host it is reached at: browsers take every name under `localhost` for this machine.
pub const HOST: &str = "skyward.localhost";
/// The account of the demonstration. Everybody knows it, so it opens nothing else.
pub const DEMO_USERNAME: &str = "ada";
/// Its password.
pub const DEMO_PASSWORD: &str = "s3cret-for-the-demo";
/// Its TOTP secret, base32.
pub const DEMO_TOTP: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

const MAX_BODY_BYTES: usize = 4096;
/// Visitors between password and code, or signed in; past that the oldest go.
const MAX_VISITORS: usize = 64;
/// Wrong passwords and codes before nothing is taken any more.
const MAX_FAILURES: u32 = 10;
/// A code of the last minute and a half is taken: a person types slowly.
const CODE_SKEW: u16 = 3;

/// Who may fly.
#[derive(Debug)]
pub struct Account {
    /// The user name.
    pub username: String,
    /// The password.
    pub password: SecretString,
    /// The TOTP secret, base32.
    pub totp: SecretString,
}

impl Account {
    /// The one everybody knows.
    pub fn demo() -> Self {
        Self {
            username: DEMO_USERNAME.to_owned(),
            password: SecretString::new(DEMO_PASSWORD.to_owned()),
            totp: SecretString::new(DEMO_TOTP.to_owned()),
        }
    }
}

/// A running airline; dropped, it closes.
#[derive(Debug)]
pub struct Airline {
    address: SocketAddr,
    desk: Arc<Desk>,
    task: JoinHandle<()>,
}

/// What all its connections share.
#[derive(Debug)]
struct Desk {
    account: Account,
    codes: Totp,
    visitors: Mutex<Visitors>,
    /// Paths whose requests wait.
    held: watch::Sender<HashSet<String>>,
}

#[derive(Debug, Default)]
struct Visitors {
    /// Cookie and how far its holder is, oldest first.
    known: Vec<(String, Stage)>,
    failures: u32,
    seen: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    CodeMissing,
    SignedIn,
}

impl Airline {
    /// Opens on a free port of this machine.
    pub async fn open(account: Account) -> std::io::Result<Self> {
        let secret = Secret::try_from_base32(account.totp.expose_secret())
            .map_err(|_| std::io::Error::other("the TOTP secret is not base32"))?;
        let codes = Builder::new().with_secret(secret).with_skew(CODE_SKEW).build_noncompliant();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (held, _) = watch::channel(HashSet::new());
        let desk = Arc::new(Desk { account, codes, visitors: Mutex::default(), held });
        let shared = Arc::clone(&desk);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let desk = Arc::clone(&shared);
                let service = service_fn(move |request| serve(Arc::clone(&desk), request));
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .max_buf_size(16 * 1024)
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move {
                    let _ = connection.await; // visitors go as they like
                });
            }
        });
        Ok(Self { address, desk, task })
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{HOST}:{}", self.address.port())
    }

    /// Every request so far: method, path and query.
    pub fn seen(&self) -> Vec<String> {
        self.desk.visitors().seen.clone()
    }

    /// Lets requests for a path wait until [`Airline::let_go`]: for demonstrations of what happens meanwhile.
    pub fn hold(&self, path: &str) {
        self.desk.held.send_modify(|held| {
            held.insert(path.to_owned());
        });
    }

    /// Answers what was held.
    pub fn let_go(&self) {
        self.desk.held.send_modify(HashSet::clear);
    }
}

impl Drop for Airline {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Desk {
    fn visitors(&self) -> MutexGuard<'_, Visitors> {
        self.visitors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far the holder of a cookie is.
    fn stage(&self, cookie: Option<&str>) -> Option<Stage> {
        let cookie = cookie?;
        self.visitors().known.iter().find(|(known, _)| known == cookie).map(|(_, stage)| *stage)
    }

    /// A new cookie: what was known before sign-in is worth nothing after it.
    fn admit(&self, old: Option<&str>, stage: Stage) -> Option<String> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok()?;
        let cookie: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut visitors = self.visitors();
        visitors.known.retain(|(known, _)| Some(known.as_str()) != old);
        if visitors.known.len() >= MAX_VISITORS {
            visitors.known.remove(0);
        }
        visitors.known.push((cookie.clone(), stage));
        Some(cookie)
    }

    /// Counted before anybody is told.
    fn judge(&self, good: bool) -> bool {
        let mut visitors = self.visitors();
        let open = visitors.failures < MAX_FAILURES;
        visitors.failures += u32::from(!good);
        good && open
    }
}

type Page = Response<Full<Bytes>>;

async fn serve(desk: Arc<Desk>, request: Request<Incoming>) -> Result<Page, Infallible> {
    let (path, query) =
        (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
    desk.visitors().seen.push(format!("{} {}", request.method(), request.uri()));
    let mut held = desk.held.subscribe();
    let _ = held.wait_for(|held| !held.contains(&path)).await;
    let cookie = request
        .headers()
        .get(COOKIE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.split("; ").find_map(|pair| pair.strip_prefix("visitor=")))
        .map(str::to_owned);
    let stage = desk.stage(cookie.as_deref());
    let method = request.method().clone();
    let page = match (method, path.as_str(), stage) {
        (Method::GET, "/login", _) => html(StatusCode::OK, pages::login(false)),
        (Method::POST, "/login", _) => log_in(&desk, cookie.as_deref(), form(request).await),
        (Method::GET, "/code", Some(Stage::CodeMissing)) => html(StatusCode::OK, pages::code(false)),
        (Method::POST, "/code", Some(Stage::CodeMissing)) => {
            verify(&desk, cookie.as_deref(), form(request).await)
        }
        (Method::GET, "/account", Some(Stage::SignedIn)) => {
            html(StatusCode::OK, pages::account(&desk.account.username))
        }
        (Method::GET, "/flights", Some(Stage::SignedIn)) => flights(&query),
        (Method::GET, "/" | "/code" | "/account" | "/flights", _) => redirect("/login", None),
        _ => html(StatusCode::NOT_FOUND, pages::page("Nothing here", "<p>There is no such page.</p>")),
    };
    Ok(page)
}

type Form = HashMap<String, Zeroizing<String>>;

async fn form(request: Request<Incoming>) -> Form {
    let Ok(body) = Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await else {
        return Form::new();
    };
    form_urlencoded::parse(&body.to_bytes())
        .map(|(name, value)| (name.into_owned(), Zeroizing::new(value.into_owned())))
        .collect()
}

fn log_in(desk: &Desk, cookie: Option<&str>, mut form: Form) -> Page {
    let field = |form: &mut Form, name: &str| form.remove(name).unwrap_or_default();
    let username = field(&mut form, "username");
    let password = SecretString::new(std::mem::take(&mut *field(&mut form, "password")));
    let good = password == desk.account.password && *username == desk.account.username;
    if !desk.judge(good) {
        return html(StatusCode::UNAUTHORIZED, pages::login(true));
    }
    redirect("/code", desk.admit(cookie, Stage::CodeMissing))
}

fn verify(desk: &Desk, cookie: Option<&str>, form: Form) -> Page {
    let code = form.get("code").map(|code| code.as_str()).unwrap_or_default();
    let now = u64::try_from(SystemClock.now().unix_timestamp()).unwrap_or_default();
    if !desk.judge(desk.codes.check(code, now).is_some()) {
        return html(StatusCode::UNAUTHORIZED, pages::code(true));
    }
    redirect("/account", desk.admit(cookie, Stage::SignedIn))
}

fn flights(query: &str) -> Page {
    let fields: HashMap<_, _> = form_urlencoded::parse(query.as_bytes()).collect();
    let field = |name: &str| fields.get(name).map(|value| value.chars().take(10).collect::<String>());
    let page = match (field("from"), field("to"), field("date")) {
        (Some(from), Some(to), Some(date)) => pages::results(&from, &to, &date),
        _ => pages::search(),
    };
    html(StatusCode::OK, page)
}

fn html(status: StatusCode, page: String) -> Page {
    let mut response = Response::new(Full::new(Bytes::from(page)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn redirect(to: &'static str, cookie: Option<String>) -> Page {
    let mut response = html(StatusCode::SEE_OTHER, String::new());
    response.headers_mut().insert(LOCATION, HeaderValue::from_static(to));
    let cookie = cookie.map(|cookie| format!("visitor={cookie}; HttpOnly; SameSite=Strict; Path=/"));
    if let Some(value) = cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()) {
        response.headers_mut().insert(SET_COOKIE, value);
    }
    response
}
