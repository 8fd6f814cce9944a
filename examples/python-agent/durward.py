"""Durward's protocol for agents, written from docs/protocol.md. Numbers in brackets are its sections."""

import base64
import hashlib
import hmac
import ipaddress
import json
import os
import re
import struct
from datetime import datetime, timezone

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt as xchacha_open,
    crypto_aead_xchacha20poly1305_ietf_encrypt as xchacha_seal,
)
from nacl.exceptions import BadSignatureError, CryptoError
from nacl.signing import VerifyKey
from spake2.ed25519_basic import bytes_to_element


class Refused(Exception):
    """Something that the protocol does not take; `code` is the table's (11)."""

    def __init__(self, code, text=""):
        super().__init__(f"{code}: {text}" if text else code)
        self.code = code


# [1] encodings


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text, code="invalid_request"):
    if not isinstance(text, str) or "=" in text:
        raise Refused(code)
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise Refused(code) from error
    if b64(data) != text:
        raise Refused(code)
    return data


def lp(*parts):
    return b"".join(struct.pack("<Q", len(part)) + part for part in parts)


# [1, 2, 6] texts

INVISIBLE = [
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0xE0000, 0xE0FFF),
]  # fmt: skip


def deceptive(character):
    code = ord(character)
    return code < 0x20 or 0x7F <= code < 0xA0 or any(low <= code <= high for low, high in INVISIBLE)


def is_domain(text):
    try:
        return str(ipaddress.ip_address(text)) == text
    except ValueError:
        pass
    label = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
    named = len(text) <= 253 and re.fullmatch(rf"{label}(\.{label})*", text, re.ASCII)
    return bool(named) and not text.rsplit(".", 1)[-1].isdigit()


def is_time(text):
    if len(text) > 40 or not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", text, re.ASCII):
        return False
    try:
        datetime.fromisoformat(text[:19])
    except ValueError:
        return False
    return True


def is_id(text, prefix):
    try:
        return text.startswith(prefix) and len(unb64(text[len(prefix) :])) == 16
    except Refused:
        return False


def is_approver_id(text):
    try:
        return len(unb64(text)) == 32
    except Refused:
        return False


FIELDS = ("username", "password", "totp", "uri", "notes")
TEXTS = {  # kind: the code of its error, and whether a text is one
    "agent_id": ("invalid_agent_id", lambda t: bool(re.fullmatch(r"[A-Za-z0-9._-]{1,64}", t))),
    "agent_name": (
        "invalid_agent_name",
        lambda t: 1 <= len(t) <= 64 and t.strip() != "" and not any(deceptive(c) for c in t),
    ),
    "approver_id": ("invalid_request", is_approver_id),
    "pairing_id": ("invalid_request", lambda t: is_id(t, "pair_")),
    "session_id": ("invalid_request", lambda t: is_id(t, "sess_")),
    "request_id": ("invalid_request", lambda t: is_id(t, "")),
    "domain": ("invalid_request", is_domain),
    "field": (
        "invalid_request",
        lambda t: t in FIELDS or (t.startswith("custom:") and 1 <= len(t[7:].encode()) <= 64),
    ),
    "timestamp": ("invalid_request", is_time),
    "typed_code": (
        "invalid_code",
        lambda t: bool(re.fullmatch(r"([1-9][0-9]?[- ])?[1-9][0-9]{5}", t.strip(), re.ASCII)),
    ),
}


def check_text(kind, text):
    code, good = TEXTS[kind]
    if not good(text):
        raise Refused(code, kind)


# [3] key schedule


def check_pake_message(text, side):
    """Length, side byte, a canonical point of the large subgroup; python-spake2 leaves the third out."""
    data = unb64(text, "bad_pake_message")
    if len(data) != 33 or data[:1] != side.upper().encode():
        raise Refused("bad_pake_message")
    try:
        canonical = bytes_to_element(data[1:]).to_bytes() == data[1:]
    except Exception as error:  # it raises several kinds, some of them bare
        raise Refused("bad_pake_message") from error
    if not canonical:
        raise Refused("bad_pake_message")
    return data



def hkdf_expand(prk, label, length):
    okm, block, counter = b"", b"", 1
    while len(okm) < length:
        block = hmac.digest(prk, block + label.encode() + bytes([counter]), "sha256")
        okm += block
        counter += 1
    return okm[:length]


def transcript_bytes(pairing_id, agent_id, agent_name, approver_id, asked, granted, session_id, msg_a, msg_b):
    texts = [pairing_id, agent_id, agent_name, approver_id, asked, granted, session_id]
    return lp(b"durward/1 pairing agent", *(text.encode() for text in texts), msg_a, msg_b)


class Keys:
    def __init__(self, spake2_key, transcript):
        """`transcript` is the hash."""
        self.prk = hmac.digest(transcript, spake2_key, "sha256")
        self.confirm_a = hkdf_expand(self.prk, "durward/1 confirm a", 32)
        self.confirm_b = hkdf_expand(self.prk, "durward/1 confirm b", 32)
        self.a_to_b = hkdf_expand(self.prk, "durward/1 seal a to b", 32)
        self.b_to_a = hkdf_expand(self.prk, "durward/1 seal b to a", 32)
        self.fingerprint = hkdf_expand(self.prk, "durward/1 fingerprint", 8)
        self.mac_a = hmac.digest(self.confirm_a, transcript, "sha256")
        self.mac_b = hmac.digest(self.confirm_b, transcript, "sha256")


def fingerprint_words(fingerprint, words):
    number, digits = int.from_bytes(fingerprint, "big"), []
    for _ in range(5):
        number, digit = divmod(number, 7776)
        digits.append(words[digit])
    return " ".join(reversed(digits))


# [4] scope


def check_scope(text):
    """The limits of a scope as text on the wire."""
    if text == "":
        return {}
    if len(text) > 4096:
        raise Refused("invalid_scope")

    def once(pairs):
        if len({key for key, _ in pairs}) != len(pairs):
            raise Refused("invalid_scope", "a key is repeated")
        return dict(pairs)

    try:
        limits = json.loads(unb64(text, "invalid_scope"), object_pairs_hook=once)
    except ValueError as error:
        raise Refused("invalid_scope") from error
    if not isinstance(limits, dict) or not limits.keys() <= {"domains", "max_uses", "expires_in"}:
        raise Refused("invalid_scope")
    number = lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if not all(number(limits[key]) for key in ("max_uses", "expires_in") if key in limits):
        raise Refused("invalid_scope")
    if "domains" in limits:
        domains = limits["domains"]
        if not isinstance(domains, list) or not 1 <= len(domains) <= 64:
            raise Refused("invalid_scope")
        if not all(isinstance(domain, str) and is_domain(domain) for domain in domains):
            raise Refused("invalid_scope")
    return limits


def within(granted, asked):
    """Both as text on the wire."""
    if not asked or granted == asked:
        return True
    if not granted:
        return False
    granted, asked = check_scope(granted), check_scope(asked)
    if "domains" in asked:
        covered = lambda name: any(name == own or name.endswith("." + own) for own in asked["domains"])
        if not granted.get("domains") or not all(covered(name) for name in granted["domains"]):
            return False
    for key in ("max_uses", "expires_in"):
        if key in asked and not (key in granted and granted[key] <= asked[key]):
            return False
    return True


# [5] envelopes


class Freshness:
    """What one end remembers of a session's envelopes against replay. Times in seconds."""

    def __init__(self):
        self.seen = {}

    def check(self, now, timestamp, nonce):
        if abs(now - timestamp) > 300:
            raise Refused("stale_timestamp")
        self.seen = {known: until for known, until in self.seen.items() if until >= now}
        if nonce in self.seen:
            raise Refused("replayed")
        self.seen[nonce] = timestamp + 300


def pad(plaintext):
    if len(plaintext) > 32767:
        raise Refused("body_too_large")
    size = 256
    while size < len(plaintext) + 1:
        size *= 2
    return plaintext + b"\x80" + bytes(size - len(plaintext) - 1)


def unpad(padded):
    plaintext = padded.rstrip(b"\0")
    if not plaintext.endswith(b"\x80") or pad(plaintext[:-1]) != padded:
        raise Refused("bad_envelope")
    return plaintext[:-1]


def aad(side, session_id):
    return b"durward/1\0" + side.encode() + session_id.encode()


def seal(key, side, session_id, plaintext, nonce=None):
    nonce = os.urandom(24) if nonce is None else nonce
    return b64(b"\x01" + nonce + xchacha_seal(pad(plaintext), aad(side, session_id), nonce, key))


def open_envelope(key, side, session_id, payload):
    data = unb64(payload, "bad_envelope")
    if data[:1] != b"\x01":
        raise Refused("unsupported_version" if data else "bad_envelope")
    try:
        return unpad(xchacha_open(data[25:], aad(side, session_id), data[1:25], key))
    except (CryptoError, ValueError) as error:
        raise Refused("bad_envelope") from error


def message(kind, **fields):
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    return json.dumps({"type": kind, **fields, "timestamp": now, "nonce": b64(os.urandom(16))}).encode()


def check_request(plaintext):
    """[6] A credential.request as an approver takes it."""
    try:
        message = json.loads(plaintext)
    except ValueError as error:
        raise Refused("invalid_request") from error
    if not isinstance(message, dict):
        raise Refused("invalid_request")
    if message.get("type") != "credential.request":
        raise Refused("wrong_type")
    text = lambda key: message[key] if isinstance(message.get(key), str) else ""
    for key, kind in (("id", "request_id"), ("nonce", "request_id"), ("domain", "domain"), ("timestamp", "timestamp")):
        check_text(kind, text(key))
    fields, waits = message.get("fields", ["username", "password"]), message.get("expires_in", 600)
    if not isinstance(fields, list) or not 1 <= len(fields) <= 16 or len(text("reason").encode()) > 4096:
        raise Refused("invalid_request")
    for field in fields:
        check_text("field", field if isinstance(field, str) else "")
    if not isinstance(waits, int) or not 1 <= waits <= 86400:
        raise Refused("invalid_request")
    return message


def sha256(data):
    return hashlib.sha256(data).digest()


# [8] receipts

RECEIPT_PARTS = (
    "approver_id agent_id fingerprint request_id domain reason_hash fields_asked fields_released verdict decided_by time "
    "policy_version"
).split()


def receipt(text, approver_id):
    """What a receipt says, once its signature is checked: a dict of bytes."""
    data = unb64(text, "bad_receipt")
    if data[:1] != b"\x01":
        raise Refused("unsupported_version" if data else "bad_receipt")
    signature, body = data[1:65], data[65:]
    parts, rest = [], body
    while rest:
        length = int.from_bytes(rest[:8], "little")
        if len(rest) < 8 + length:
            raise Refused("bad_receipt")
        parts.append(rest[8 : 8 + length])
        rest = rest[8 + length :]
    if len(parts) != len(RECEIPT_PARTS):
        raise Refused("bad_receipt")
    said = dict(zip(RECEIPT_PARTS, parts))
    try:
        VerifyKey(unb64(said["approver_id"].decode(), "bad_receipt")).verify(
            lp(b"durward/1 receipt", body), signature
        )
    except (BadSignatureError, ValueError) as error:
        raise Refused("bad_receipt") from error
    if said["approver_id"].decode() != approver_id:
        raise Refused("receipt_of_another")
    return said
