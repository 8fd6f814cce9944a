//! A CA and a certificate for `localhost`, made anew for every server.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum_server::tls_rustls::RustlsConfig;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A server's certificate with the CA that signed it.
pub(super) struct Identity {
    ca_pem: String,
    config: RustlsConfig,
}

#[allow(clippy::expect_used, reason = "a test cannot go on without its certificates")]
impl Identity {
    pub(super) fn generate() -> Self {
        let ca_key = KeyPair::generate().expect("a key");
        let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "Durward test CA");
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let ca_cert = ca.self_signed(&ca_key).expect("a CA certificate");
        let issuer = Issuer::new(ca, ca_key);

        let key = KeyPair::generate().expect("a key");
        let mut leaf = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        leaf.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        leaf.distinguished_name.push(DnType::CommonName, "localhost");
        let cert = leaf.signed_by(&key, &issuer).expect("a certificate");
        Self { ca_pem: ca_cert.pem(), config: serving(&cert, &key) }
    }

    /// A certificate that signs itself and calls itself a CA, as `openssl req -x509` makes it.
    pub(super) fn self_signed() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "localhost");
        let cert = params.self_signed(&key).expect("a certificate");
        Self { ca_pem: cert.pem(), config: serving(&cert, &key) }
    }

    pub(super) fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    pub(super) fn config(&self) -> RustlsConfig {
        self.config.clone()
    }
}

#[allow(clippy::expect_used, reason = "a test cannot go on without its certificates")]
fn serving(cert: &Certificate, key: &KeyPair) -> RustlsConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![cert.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .expect("a usable certificate");
    RustlsConfig::from_config(Arc::new(server))
}
