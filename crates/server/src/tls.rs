//! TLS of the agent plane: certificate and key from files, read again when they change, or self-signed for trials.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use crate::Error;
use crate::home::Home;
use durward_files::{create_private_dir, write_private};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Where the certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsConfig {
    /// PEM files of the owner: the chain, and the key.
    Files {
        /// Certificate chain, the server's own first.
        certificate: PathBuf,
        /// Private key: PKCS#8, PKCS#1 or SEC1.
        key: PathBuf,
    },
    /// One that this server makes and keeps, for trials: clients must be told to trust it.
    SelfSigned,
}

/// The certificate in use.
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Tls {
    /// Reads, or makes, the certificate.
    pub(crate) fn open(config: &TlsConfig, home: &Home, listen: SocketAddr) -> Result<Arc<Self>, Error> {
        let (certificate, key) = match config {
            TlsConfig::Files { certificate, key } => (certificate.clone(), key.clone()),
            TlsConfig::SelfSigned => self_signed(home, listen)?,
        };
        let current = RwLock::new(read(&certificate, &key)?);
        Ok(Arc::new(Self { certificate, key, current }))
    }

    /// What turns a connection into a TLS one: TLS 1.2 and 1.3, HTTP/1.1.
    pub(crate) fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, Error> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Tls(self.certificate.clone(), error.to_string()))?;
        let resolver: Arc<dyn ResolvesServerCert> = Arc::new(Resolver(Arc::clone(self)));
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Looks at the files for ever. A pair that does not read, half written perhaps, leaves the old one in use.
    pub(crate) async fn watch(self: Arc<Self>) {
        let mut seen = self.stamp();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.stamp();
            if now == seen {
                continue;
            }
            // Also where it does not read: one warning for each state of the files.
            seen = now;
            match self.reload() {
                Ok(()) => {
                    tracing::info!("the certificate was read again");
                }
                Err(error) => {
                    tracing::warn!(%error, "the changed certificate is not usable: the old one stays");
                }
            }
        }
    }

    fn reload(&self) -> Result<(), Error> {
        let fresh = read(&self.certificate, &self.key)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    fn stamp(&self) -> [Option<(SystemTime, u64)>; 2] {
        [&self.certificate, &self.key].map(|path| {
            let data = std::fs::metadata(path).ok()?;
            Some((data.modified().ok()?, data.len()))
        })
    }
}

struct Resolver(Arc<Tls>);

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, Error> {
    let bad = |path: &Path| {
        let path = path.to_owned();
        move |error: &dyn std::fmt::Display| Error::Tls(path.clone(), error.to_string())
    };
    let (bad_certificate, bad_key) = (bad(certificate), bad(key));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| bad_certificate(&error))?;
    if chain.is_empty() {
        return Err(bad_certificate(&"it holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| bad_key(&error))?;
    let pair = CertifiedKey::from_der(chain, key, &ring::default_provider());
    pair.map(Arc::new).map_err(|error| bad_key(&error))
}

/// A certificate for localhost, this machine's loopback and the address listened on, kept in the data folder.
fn self_signed(home: &Home, listen: SocketAddr) -> Result<(PathBuf, PathBuf), Error> {
    let folder = home.folder().join("tls");
    let (certificate, key) = (folder.join("self-signed.crt"), folder.join("self-signed.key"));
    if certificate.exists() && key.exists() {
        return Ok((certificate, key));
    }
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !listen.ip().is_unspecified() && !listen.ip().is_loopback() {
        names.push(listen.ip().to_string());
    }
    let made = rcgen::generate_simple_self_signed(names)
        .map_err(|error| Error::Tls(certificate.clone(), error.to_string()))?;
    create_private_dir(&folder).map_err(Error::file(&folder))?;
    let secret = zeroize::Zeroizing::new(made.signing_key.serialize_pem());
    write_private(&key, secret.as_bytes()).map_err(Error::file(&key))?;
    write_private(&certificate, made.cert.pem().as_bytes()).map_err(Error::file(&certificate))?;
    Ok((certificate, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_pair_is_taken_and_a_broken_one_is_not() {
        let base = tempfile::tempdir().unwrap();
        let home = Home::open(base.path()).unwrap();
        let listen = "192.0.2.7:5000".parse().unwrap();
        let tls = Tls::open(&TlsConfig::SelfSigned, &home, listen).unwrap();
        let leaf = || tls.current.read().unwrap().cert[0].clone();
        let first = leaf();
        let again = Tls::open(&TlsConfig::SelfSigned, &home, listen).unwrap();
        assert_eq!(again.current.read().unwrap().cert[0], first, "it is kept");
        assert!(tls.acceptor().is_ok());

        let certificate = std::fs::read(&tls.certificate).unwrap();
        write_private(&tls.certificate, b"half").unwrap();
        assert!(tls.reload().is_err());
        assert_eq!(leaf(), first);
        write_private(&tls.certificate, &certificate).unwrap();
        let other = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        write_private(&tls.certificate, other.cert.pem().as_bytes()).unwrap();
        assert!(tls.reload().is_err(), "the key is another one's");
        write_private(&tls.key, other.signing_key.serialize_pem().as_bytes()).unwrap();
        tls.reload().unwrap();
        assert_ne!(leaf(), first);
    }
}
