//! `docs/vectors/receipts.json`: receipts that verify, and receipts that must not.

use durward_protocol::{
    AgentId, ApproverId, ApproverKey, Decider, Domain, Error, Field, Fingerprint, Receipt, RequestId,
    SecretBytes, Statement, Timestamp, Verdict, base64url_decode, base64url_encode, field_names, hex_encode,
    lp_all, reason_hash,
};
use serde_json::{Value, json};

use crate::vectors::{settle, text};

const REASON: &str = "Book the flight";

fn key(seed: u8) -> ApproverKey {
    ApproverKey::from_seed(&SecretBytes::new([seed; 32]))
}

fn approved() -> Statement {
    Statement {
        agent_id: AgentId::parse("flight-booking-001").unwrap(),
        fingerprint: Fingerprint([1, 2, 3, 4, 5, 6, 7, 8]),
        request_id: RequestId::from_bytes([6; 16]),
        domain: Domain::parse("example.com").unwrap(),
        reason_hash: reason_hash(REASON),
        fields_asked: field_names(&[Field::Username, Field::Password, Field::Custom("pin".into())]),
        fields_released: field_names(&[Field::Username, Field::Password]),
        verdict: Verdict::Approved,
        decided_by: Decider::Owner,
        at: Timestamp::parse("2026-11-22T10:00:00.123Z").unwrap(),
        policy_version: String::new(),
    }
}

fn good(statement: &Statement) -> Value {
    let receipt = statement.sign(&key(0x42));
    let body = base64url_decode(&receipt).unwrap()[65..].to_vec();
    json!({
        "approver_id": key(0x42).id().as_str(),
        "agent_id": statement.agent_id.as_str(),
        "fingerprint_hex": hex_encode(&statement.fingerprint.0),
        "request_id": statement.request_id.to_string(),
        "domain": statement.domain.as_str(),
        "reason": REASON,
        "fields_asked": statement.fields_asked,
        "fields_released": statement.fields_released,
        "verdict": statement.verdict.as_str(),
        "decided_by": statement.decided_by.as_str(),
        "time": statement.at.to_string(),
        "policy_version": statement.policy_version,
        "body_hex": hex_encode(&body),
        "receipt": receipt,
    })
}

fn word(error: Error) -> &'static str {
    match error {
        Error::UnsupportedVersion => "unsupported_version",
        Error::ReceiptOfAnother => "receipt_of_another",
        _ => "bad_receipt",
    }
}

#[test]
fn receipts() {
    let denied = Statement {
        fields_released: String::new(),
        verdict: Verdict::Denied,
        decided_by: Decider::Policy,
        policy_version: "5e0c4c1f3a9b7d22".into(),
        ..approved()
    };
    let names =
        [Field::Custom("pin, old".into()), Field::Custom(r"C:\pin".into()), Field::Custom("pin".into())];
    let names = Statement {
        fields_asked: field_names(&names),
        fields_released: field_names(&names[..2]),
        ..approved()
    };
    let bytes = base64url_decode(&approved().sign(&key(0x42))).unwrap();
    let bent = |at: usize, with: u8| {
        let mut bytes = bytes.clone();
        bytes[at] ^= with;
        base64url_encode(&bytes)
    };
    // The signature of one approver over a body that names another.
    let mut stolen = base64url_decode(&denied.sign(&key(0x42))).unwrap();
    stolen.truncate(65);
    stolen.extend_from_slice(&base64url_decode(&denied.sign(&key(0x43))).unwrap()[65..]);
    // A body that ends with a thirteenth part, signed.
    let own = key(0x42).id().as_str().to_owned();
    let cases = [
        ("signature bent", bent(1, 1), &own),
        ("a field of the body bent", bent(80, 1), &own),
        ("version 2", bent(0, 3), &own),
        ("cut by a byte", base64url_encode(&bytes[..bytes.len() - 1]), &own),
        ("a part too many", base64url_encode(&[bytes.as_slice(), &lp_all(&[b"more"])].concat()), &own),
        ("no body", base64url_encode(&bytes[..65]), &own),
        ("another's body under this signature", base64url_encode(&stolen), &own),
        ("another approver's good receipt", approved().sign(&key(0x43)), &own),
        ("padded base64url", format!("{}=", approved().sign(&key(0x42))), &own),
        ("empty", String::new(), &own),
    ];
    let bad: Vec<Value> = cases
        .iter()
        .map(|(why, receipt, approver_id)| {
            let expected = ApproverId::parse(approver_id).unwrap();
            let error = Receipt::verify_from(receipt, &expected).unwrap_err();
            json!({ "why": why, "approver_id": approver_id, "receipt": receipt, "error": word(error) })
        })
        .collect();
    let made = json!({
        "approver_seed_hex": hex_encode(&[0x42; 32]),
        "good": [good(&approved()), good(&denied), good(&names)],
        "bad": bad,
    });
    let read = settle("receipts.json", &made);
    for case in read["good"].as_array().unwrap() {
        let approver_id = ApproverId::parse(text(case, "approver_id")).unwrap();
        let receipt = Receipt::verify_from(text(case, "receipt"), &approver_id).unwrap();
        assert!(receipt.is_for_reason(text(case, "reason")));
        assert_eq!(receipt.statement.verdict.as_str(), text(case, "verdict"));
    }
    for case in read["bad"].as_array().unwrap() {
        let approver_id = ApproverId::parse(text(case, "approver_id")).unwrap();
        let error = Receipt::verify_from(text(case, "receipt"), &approver_id).unwrap_err();
        assert_eq!(word(error), text(case, "error"), "{}", text(case, "why"));
    }
}
