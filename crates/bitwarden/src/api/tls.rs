//! Which servers are believed: the system's roots, the extra ones, and an extra certificate that is a server's own.
//!
//! `openssl req -x509` makes a certificate that signs itself and calls itself a CA. The verifier refuses such a one as a
//! server's own (RFC 5280, 4.2.1.9 leaves that open), although its owner named exactly it. So a certificate that is,
//! byte for byte, one of the extra ones is believed without a chain: who has its key is who the owner meant. Its name and
//! its time count as for any other.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use time::{Date, Month, Time, UtcDateTime};

use super::http::Network;
use crate::{Error, Result};

/// The configuration of every connection; no process-wide provider is installed.
pub(super) fn config(network: &Network) -> Result<rustls::ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut extra = Vec::new();
    for pem in &network.extra_roots {
        for cert in CertificateDer::pem_slice_iter(pem) {
            extra.push(cert.map_err(|e| {
                Error::Configuration(format!("A file of extra certificates is no PEM file: {e:?}"))
            })?);
        }
    }
    let unusable = |e: rustls::Error| Error::Configuration(format!("The certificates are not usable: {e}"));
    let platform =
        rustls_platform_verifier::Verifier::new_with_extra_roots(extra.iter().cloned(), provider.clone())
            .map_err(unusable)?;
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .dangerous() // the platform's own verifier, not a weaker one
        .with_custom_certificate_verifier(Arc::new(Verifier { platform, extra }))
        .with_no_client_auth())
}

#[derive(Debug)]
struct Verifier {
    platform: rustls_platform_verifier::Verifier,
    extra: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.extra.iter().any(|named| named == end_entity) {
            return verify_named(end_entity, server_name, now);
        }
        self.platform.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.platform.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.platform.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.platform.supported_verify_schemes()
    }
}

fn verify_named(
    cert: &CertificateDer<'_>,
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<ServerCertVerified, rustls::Error> {
    let (from, until) = validity(cert).ok_or(CertificateError::BadEncoding)?;
    let now = Duration::from_secs(now.as_secs());
    if now < from {
        return Err(CertificateError::NotValidYet.into());
    }
    if now > until {
        return Err(CertificateError::Expired.into());
    }
    rustls::client::verify_server_name(&ParsedCertificate::try_from(cert)?, name)?;
    Ok(ServerCertVerified::assertion())
}

const SEQUENCE: u8 = 0x30;
const EXPLICIT_VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// From when until when a certificate holds, since 1970 (RFC 5280, 4.1.2.5). The verifier's library reads that for
/// itself and does not tell.
fn validity(cert: &[u8]) -> Option<(Duration, Duration)> {
    let (certificate, _) = inside(SEQUENCE, cert)?;
    let (mut tbs, _) = inside(SEQUENCE, certificate)?;
    if tbs.first() == Some(&EXPLICIT_VERSION) {
        tbs = element(tbs)?.2;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        tbs = element(tbs)?.2;
    }
    let (validity, _) = inside(SEQUENCE, tbs)?;
    let (kind, from, rest) = element(validity)?;
    let (until_kind, until, _) = element(rest)?;
    Some((moment(kind, from)?, moment(until_kind, until)?))
}

fn inside(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(bytes)?;
    (found == tag).then_some((content, rest))
}

/// Tag, content and what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], mut rest) = bytes.split_first_chunk::<2>()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        let (digits, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
        length = digits.iter().try_fold(0_usize, |n, d| n.checked_mul(256)?.checked_add(usize::from(*d)))?;
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ`, or the same with four digits of the year; both in UTC.
fn moment(kind: u8, text: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = match kind {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i32 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    if rest.len() != 10 || !rest.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |at: usize| rest.get(at..at + 2)?.parse::<u8>().ok();
    let date = Date::from_calendar_date(year, Month::try_from(part(0)?).ok()?, part(2)?).ok()?;
    let time = Time::from_hms(part(4)?, part(6)?, part(8)?).ok()?;
    let seconds = UtcDateTime::new(date, time).unix_timestamp();
    // Before 1970 is as good as always.
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Made by `openssl req -x509`: signs itself, calls itself a CA, is for `localhost`, holds from 28 November 2026 for
    /// ten years.
    const SELF_SIGNED: &str = include_str!("../../tests/vectors/self-signed-ca.pem");
    const FROM: u64 = 1_795_904_225;
    const UNTIL: u64 = 2_111_264_225;

    fn verified(trusted: &str, name: &str, at: u64) -> Result<(), rustls::Error> {
        let cert = CertificateDer::from_pem_slice(SELF_SIGNED.as_bytes()).unwrap();
        let extra: Vec<_> = CertificateDer::pem_slice_iter(trusted.as_bytes()).map(Result::unwrap).collect();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let platform =
            rustls_platform_verifier::Verifier::new_with_extra_roots(extra.iter().cloned(), provider)
                .unwrap();
        let name = ServerName::try_from(name).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(at));
        Verifier { platform, extra }.verify_server_cert(&cert, &[], &name, &[], now).map(drop)
    }

    #[test]
    fn a_certificate_the_owner_named_is_a_server_s_own() {
        assert_eq!(verified(SELF_SIGNED, "localhost", FROM + 1), Ok(()));
        let refused = |name: &str, at: u64| verified(SELF_SIGNED, name, at).unwrap_err().to_string();
        assert!(refused("elsewhere.example", FROM + 1).contains("not valid for name"));
        assert!(
            refused("localhost", FROM - 1).contains("not yet valid")
                || refused("localhost", FROM - 1).contains("NotValidYet")
        );
        assert!(refused("localhost", UNTIL + 1).contains("xpired"));
        assert!(verified("", "localhost", FROM + 1).is_err(), "nobody named it");
    }

    #[test]
    fn both_ways_to_write_a_time() {
        let at = |kind: u8, text: &str| moment(kind, text.as_bytes()).map(|d| d.as_secs());
        assert_eq!(at(UTC_TIME, "700101000001Z"), Some(1));
        assert_eq!(at(UTC_TIME, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(at(GENERALIZED_TIME, "20500101000000Z"), Some(2_524_608_000));
        assert_eq!(at(GENERALIZED_TIME, "19000101000000Z"), Some(0));
        for bad in ["", "Z", "7001010000Z", "701301000000Z", "70010100000\u{e4}Z", "700101000001"] {
            assert_eq!(at(UTC_TIME, bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64), cut in 0_usize..2_000) {
            let _ = validity(&bytes);
            let whole = CertificateDer::from_pem_slice(SELF_SIGNED.as_bytes()).unwrap();
            let _ = validity(whole.get(..cut).unwrap_or(&whole));
        }
    }
}
