"""Checks durward.py against docs/vectors, with python-spake2 and libsodium.

python check_vectors.py [FOLDER], by default the folder of this repository. To check an implementation of your own in
Python, give it the functions of durward.py and import it in its place.
"""

import json
import pathlib
import sys
from datetime import datetime

import spake2
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

import durward
from durward import Refused, b64


def load(folder, name):
    return json.loads((folder / name).read_text(encoding="utf-8"))


def equal(left, right, what):
    if left != right:
        raise SystemExit(f"{what}: {left!r} is not {right!r}")


def fixed(scalar):
    """python-spake2 takes its scalar from a generator: this one gives a number's bytes."""
    return lambda count: scalar.to_bytes(count, "big")


def check_pairing(case, words):
    make = lambda kind, scalar: kind(
        case["code"].encode(),
        idA=case["agent_id"].encode(),
        idB=case["approver_id"].encode(),
        entropy_f=fixed(scalar),
    )
    a, b = make(spake2.SPAKE2_A, case["scalar_a"]), make(spake2.SPAKE2_B, case["scalar_b"])
    msg_a, msg_b = a.start(), b.start()
    equal(msg_a.hex(), case["message_a_hex"], "message A")
    equal(msg_b.hex(), case["message_b_hex"], "message B")
    equal(b64(msg_a), case["message_a"], "message A in base64url")
    key = a.finish(msg_b)
    equal(key, b.finish(msg_a), "both ends")
    equal(key.hex(), case["spake2_key_hex"], "SPAKE2 key")
    for which in ("asked", "granted"):
        text = case[f"scope_{which}_json"]
        equal(b64(text.encode()), case[f"scope_{which}"], "scope")
    transcript = durward.transcript_bytes(
        case["pairing_id"],
        case["agent_id"],
        case["agent_name"],
        case["approver_id"],
        case["scope_asked"],
        case["scope_granted"],
        case["session_id"],
        msg_a,
        msg_b,
    )
    equal(transcript.hex(), case["transcript_hex"], "transcript")
    digest = durward.sha256(transcript)
    equal(digest.hex(), case["transcript_hash_hex"], "transcript hash")
    keys = durward.Keys(key, digest)
    for name in ("prk", "confirm_a", "confirm_b", "fingerprint"):
        equal(getattr(keys, name).hex(), case[f"{name}_hex"], name)
    equal(keys.a_to_b.hex(), case["seal_a_to_b_hex"], "seal a to b")
    equal(keys.b_to_a.hex(), case["seal_b_to_a_hex"], "seal b to a")
    equal(b64(keys.mac_a), case["mac_a"], "MAC_A")
    equal(b64(keys.mac_b), case["mac_b"], "MAC_B")
    equal(durward.fingerprint_words(keys.fingerprint, words), case["fingerprint"], "words")
    equal(durward.within(case["scope_granted"], case["scope_asked"]), True, "scope is within")
    if case["scope_asked"]:
        equal(durward.within(case["scope_asked"], case["scope_granted"]), False, "scope is wider")


def check_envelopes(vectors):
    keys = {"a": bytes.fromhex(vectors["seal_a_to_b_hex"]), "b": bytes.fromhex(vectors["seal_b_to_a_hex"])}
    nonce, session_id = bytes.fromhex(vectors["nonce_hex"]), vectors["session_id"]
    for case in vectors["good"]:
        side, plaintext = case["side"], case["plaintext"].encode()
        sealed = durward.seal(keys[side], side, session_id, plaintext, nonce)
        equal(sealed, case["encrypted_payload"], "envelope")
        equal(durward.open_envelope(keys[side], side, session_id, sealed), plaintext, "plaintext")
    for case in vectors["bad"]:
        side = case["side"]
        try:
            durward.open_envelope(keys[side], side, case["session_id"], case["encrypted_payload"])
        except Refused as refused:
            equal(refused.code, case["error"], case["why"])
        else:
            raise SystemExit(f"opened: {case['why']}")


def refused(code, why, call, *arguments):
    """The call must fail, with this code."""
    try:
        call(*arguments)
    except Refused as error:
        equal(error.code, code, why)
    else:
        raise SystemExit(f"taken: {why}")


def check_encoding(vectors):
    for case in vectors["base64url"]["good"]:
        equal(durward.unb64(case["text"]).hex(), case["hex"], case["text"])
        equal(b64(bytes.fromhex(case["hex"])), case["text"], case["hex"])
    for case in vectors["base64url"]["bad"]:
        refused("invalid_request", case["why"], durward.unb64, case["text"])
    for case in vectors["lp"]:
        parts = [bytes.fromhex(part) for part in case["parts_hex"]]
        equal(durward.lp(*parts).hex(), case["joined_hex"], "lp")


def check_texts(vectors):
    for case in vectors["good"]:
        durward.check_text(case["kind"], case["text"])
    for case in vectors["bad"]:
        refused(case["error"], f"{case['kind']}: {case['why']}", durward.check_text, case["kind"], case["text"])


def check_scopes(vectors):
    for case in vectors["good"]:
        equal(b64(case["json"].encode()), case["scope"], case["json"])
        equal(durward.check_scope(case["scope"]), json.loads(case["json"]), case["json"])
    for case in vectors["bad"]:
        refused(case["error"], case["why"], durward.check_scope, case["scope"])
    for case in vectors["within"]:
        what = f"{case['granted_json']} within {case['asked_json']}"
        equal(durward.within(case["granted"], case["asked"]), case["within"], what)


def check_pake_messages(vectors):
    for case in vectors["good"]:
        durward.check_pake_message(case["pake_message"], case["side"])
    for case in vectors["bad"]:
        refused(case["error"], case["why"], durward.check_pake_message, case["pake_message"], case["side"])


def check_schedule(vectors, words):
    for case in vectors["cases"]:
        transcript = durward.transcript_bytes(
            case["pairing_id"],
            case["agent_id"],
            case["agent_name"],
            case["approver_id"],
            case["scope_asked"],
            case["scope_granted"],
            case["session_id"],
            durward.unb64(case["message_a"]),
            durward.unb64(case["message_b"]),
        )
        digest = durward.sha256(transcript)
        equal(digest.hex(), case["transcript_hash_hex"], case["what"])
        keys = durward.Keys(bytes.fromhex(case["spake2_key_hex"]), digest)
        equal([b64(keys.mac_a), b64(keys.mac_b)], [case["mac_a"], case["mac_b"]], "MACs")
        equal(keys.a_to_b.hex(), case["seal_a_to_b_hex"], "seal a to b")
        equal(keys.b_to_a.hex(), case["seal_b_to_a_hex"], "seal b to a")
        equal(durward.fingerprint_words(keys.fingerprint, words), case["fingerprint"], "words")
        for bad in case["bad_mac_b"]:
            equal(b64(keys.mac_b) == bad["confirmation"], False, bad["why"])


def check_freshness(vectors):
    window = durward.Freshness()
    seconds = lambda text: datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
    for number, step in enumerate(vectors["steps"]):
        arguments = (seconds(step["now"]), seconds(step["timestamp"]), step["nonce"])
        if step["error"] is None:
            window.check(*arguments)
        else:
            refused(step["error"], f"step {number}", window.check, *arguments)


def check_errors(vectors):
    codes = [case["code"] for case in vectors["errors"]]
    equal(len(set(codes)), len(codes), "codes that are there once")
    for case in vectors["errors"]:
        equal(400 <= case["status"] < 600, True, case["code"])


def check_messages(vectors):
    for case in vectors["good"]:
        message = json.loads(case["plaintext"])
        durward.check_text("timestamp", message["timestamp"])
        durward.check_text("request_id", message["nonce"])
    for case in vectors["bad"]:
        refused(case["error"], case["why"], durward.check_request, case["plaintext"].encode())


def check_padding(vectors):
    for case in vectors["padding"]:
        plaintext = b"x" * case["plaintext_bytes"]
        padded = durward.pad(plaintext)
        equal(len(padded), case["padded_bytes"], "padded length")
        equal(durward.unpad(padded), plaintext, "unpadded")
        sealed = durward.seal(bytes(32), "a", "sess_", plaintext)
        equal(len(sealed), case["payload_characters"], "payload length")
    try:
        durward.pad(b"x" * vectors["plaintext_too_long_bytes"])
    except Refused:
        return
    raise SystemExit("padded what is too long")


def check_receipts(vectors):
    for case in vectors["good"]:
        said = durward.receipt(case["receipt"], case["approver_id"])
        equal(durward.lp(*said.values()).hex(), case["body_hex"], "body")
        equal(said["reason_hash"], durward.sha256(case["reason"].encode()), "reason")
        equal(said["fingerprint"].hex(), case["fingerprint_hex"], "fingerprint")
        for key in ("agent_id", "request_id", "domain", "fields_asked", "fields_released", "verdict", "decided_by", "time"):
            equal(said[key].decode(), case[key], key)
        equal(said["policy_version"].decode(), case["policy_version"], "policy version")
    for case in vectors["bad"]:
        try:
            durward.receipt(case["receipt"], case["approver_id"])
        except Refused as refused:
            equal(refused.code, case["error"], case["why"])
        else:
            raise SystemExit(f"verified: {case['why']}")


def check_devices(case):
    make = lambda kind, scalar: kind(
        case["code"].encode(), idA=case["id_a"].encode(), idB=case["id_b"].encode(), entropy_f=fixed(scalar)
    )
    a, b = make(spake2.SPAKE2_A, case["scalar_a"]), make(spake2.SPAKE2_B, case["scalar_b"])
    msg_a, msg_b = a.start(), b.start()
    equal((msg_a.hex(), msg_b.hex()), (case["message_a_hex"], case["message_b_hex"]), "messages")
    key = a.finish(msg_b)
    pairing = case["pairing_id"].encode()
    ids = (case["id_a"].encode(), b"", case["id_b"].encode(), b"", b"")
    transcript = durward.sha256(durward.lp(b"durward/1 pairing device", pairing, *ids, pairing, msg_a, msg_b))
    equal(transcript.hex(), case["transcript_hex"], "transcript")
    keys = durward.Keys(key, transcript)
    equal((b64(keys.mac_a), b64(keys.mac_b)), (case["mac_a"], case["mac_b"]), "MACs")
    for side, sealing in (("a", keys.a_to_b), ("b", keys.b_to_a)):
        hello = case[f"hello_{side}"]
        opened = json.loads(durward.open_envelope(sealing, side, case["pairing_id"], hello["envelope"]))
        equal(opened, hello["plain"], "hello")
        texts = [opened[name].encode() for name in ("device_id", "name", "x25519", "ed25519")]
        signed = durward.lp(b"durward/1 device hello", side.encode(), transcript, *texts)
        equal(opened["ed25519"], case[f"ed25519_{side}"], "signing key")
        VerifyKey(durward.unb64(opened["ed25519"])).verify(signed, durward.unb64(opened["signature"]))
    call, answer, path = case["call"], case["answer"], b"/device/deliver"
    ends = (call["from"].encode(), call["to"].encode(), durward.unb64(call["nonce"]))
    body = durward.sha256(call["body"].encode())
    signed = durward.lp(b"durward/1 device call", b"POST", path, *ends, body)
    VerifyKey(durward.unb64(case["ed25519_a"])).verify(signed, durward.unb64(call["signature"]))
    signed = durward.lp(b"durward/1 device answer", path, *ends, body, durward.sha256(answer["body"].encode()))
    VerifyKey(durward.unb64(case["ed25519_b"])).verify(signed, durward.unb64(answer["signature"]))


def joined(names):
    """Names of fields as they are signed: a comma or backslash within one stands behind a backslash."""
    return ",".join(name.replace("\\", "\\\\").replace(",", "\\,") for name in names).encode()


def decision_fits(vectors, asked, decision):
    """Whether an approver takes the decision about what it asked."""
    names = ("session_id", "request_id", "domain", "reason")
    parts = [asked[name].encode() for name in names] + [joined(asked["fields"]), asked.get("item_id", "").encode()]
    digest = durward.sha256(durward.lp(*parts))
    said = (decision["approver_id"].encode(), decision["device_id"].encode(), durward.unb64(decision["digest"]))
    fields = joined(sorted(decision["fields"], key=str.encode))
    rest = (decision["decision"].encode(), fields, decision["expires"].encode())
    signed = durward.lp(b"durward/1 device decision", *said, *rest)
    try:
        VerifyKey(durward.unb64(vectors["ed25519"])).verify(signed, durward.unb64(decision["signature"]))
    except BadSignatureError:
        return False, digest, signed
    good = (
        said == (asked["approver_id"].encode(), vectors["device_id"].encode(), digest)
        and set(decision["fields"]) <= set(asked["fields"])
        and bool(decision["fields"]) == (decision["decision"] == "approve")
    )
    return good, digest, signed


def check_decisions(vectors):
    for case in vectors["good"]:
        good, digest, signed = decision_fits(vectors, case["asked"], case["decision"])
        equal((good, digest.hex(), signed.hex()), (True, case["digest_hex"], case["signed_hex"]), "decision")
    for case in vectors["bad"]:
        equal(decision_fits(vectors, case["asked"], case["decision"])[0], False, case["why"])


def main():
    own = pathlib.Path(__file__).resolve().parents[2] / "docs" / "vectors"
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else own
    words = (folder / "eff_large_wordlist.txt").read_text(encoding="utf-8").split("\n")
    pairings = load(folder, "pairing.json")["pairings"]
    for case in pairings:
        check_pairing(case, words)
    fingerprints = load(folder, "fingerprint.json")["fingerprints"]
    for case in fingerprints:
        equal(durward.fingerprint_words(bytes.fromhex(case["hex"]), words), case["words"], case["hex"])
    check_envelopes(load(folder, "envelope.json"))
    check_padding(load(folder, "padding.json"))
    check_messages(load(folder, "messages.json"))
    check_encoding(load(folder, "encoding.json"))
    check_texts(load(folder, "texts.json"))
    check_scopes(load(folder, "scope.json"))
    check_pake_messages(load(folder, "pake_message.json"))
    check_schedule(load(folder, "schedule.json"), words)
    check_freshness(load(folder, "freshness.json"))
    check_errors(load(folder, "errors.json"))
    check_receipts(load(folder, "receipts.json"))
    check_devices(load(folder, "device.json"))
    check_decisions(load(folder, "device_decision.json"))
    print(f"{len(pairings)} pairings, {len(fingerprints)} fingerprints and every other file: good")


if __name__ == "__main__":
    main()
