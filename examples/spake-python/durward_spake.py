"""A peer of Durward's SPAKE service, and a client of its HTTP interface.

Written from docs/spake-service.md, RFC 9382 and the two packages of requirements.txt alone: it shares no code with
the service, so that the two check each other.
"""

import hashlib
import hmac
import http.client
import json
import secrets
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass

import spake2
from ecdsa import NIST256p
from ecdsa.ellipticcurve import INFINITY, PointJacobi
from ecdsa.errors import MalformedPointError

SUITES = ("p256-sha256", "p256-sha256-raw", "spake2-ed25519")


class BadPublicKey(ValueError):
    """What the other side sent is no public key of this suite."""


@dataclass(frozen=True)
class Agreement:
    """What one side holds after an exchange. `repr` would show the secret, so it shows nothing."""

    secret: bytes
    confirmation: bytes
    expected: bytes

    def __repr__(self):
        return "Agreement([redacted])"

    def confirms(self, confirmation):
        """Whether `confirmation` (bytes) proves that the other side has the same secret."""
        return hmac.compare_digest(self.expected, confirmation)


# --- the suites ---------------------------------------------------------------------------------------------------


def stretch(password, session_id):
    """The 40 bytes that suite p256-sha256 reduces to its scalar w."""
    salt = b"durward/1 spake" + session_id.encode()
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 100_000, 40)


def peer(suite, role, password, session_id, id_a="", id_b="", scalar=None):
    """The side `role` ("a" or "b") of a session. For p256-sha256-raw `password` is w in hex, big-endian.

    `scalar` fixes the private key; only test vectors do that.
    """
    if suite == "p256-sha256":
        return P256(role, stretch(password, session_id), id_a, id_b, scalar)
    if suite == "p256-sha256-raw":
        return P256(role, bytes.fromhex(password), id_a, id_b, scalar)
    if suite == "spake2-ed25519":
        return Ed25519(role, password, session_id, id_a, id_b, scalar)
    raise ValueError(f"unknown suite {suite}: use one of {', '.join(SUITES)}")


class P256:
    """RFC 9382 with P-256, SHA-256, HKDF and HMAC."""

    CURVE = NIST256p.curve
    ORDER = NIST256p.order
    # RFC 9382 section 4
    M = "02886e2f97ace46e55ba9dd7242579f2993b64e16ef3dcab95afd497333d8fa12f"
    N = "03d8bbd6c639c62937b04d997f38c3770719c629d7014d49a24b4f98baa1292b49"

    def __init__(self, role, w, id_a, id_b, scalar=None):
        self._w = int.from_bytes(w, "big") % self.ORDER
        if self._w == 0:
            raise ValueError("w is zero modulo the group order")
        self._role = role
        self._ids = (id_a.encode(), id_b.encode())
        self._scalar = scalar or 1 + secrets.randbelow(self.ORDER - 1)
        mine, self._theirs = (self.M, self.N) if role == "a" else (self.N, self.M)
        point = NIST256p.generator * self._scalar + self._constant(mine) * self._w
        self.public_key = self._encode(point)

    def finish(self, public_key):
        try:
            point = PointJacobi.from_bytes(self.CURVE, public_key, valid_encodings=("uncompressed",))
        except MalformedPointError as error:
            raise BadPublicKey("not an uncompressed point of P-256") from error
        blind = self._constant(self._theirs) * (self.ORDER - self._w)
        shared = (point + blind) * self._scalar
        if shared == INFINITY:
            raise BadPublicKey("the shared point is the identity")
        a, b = (self.public_key, public_key) if self._role == "a" else (public_key, self.public_key)
        transcript = lp(*self._ids, a, b, self._encode(shared), self._w.to_bytes(32, "big"))
        digest = hashlib.sha256(transcript).digest()
        ke, ka = digest[:16], digest[16:]
        keys = hkdf(ka, b"ConfirmationKeys", 32)
        confirm_a = hmac.digest(keys[:16], transcript, "sha256")
        confirm_b = hmac.digest(keys[16:], transcript, "sha256")
        return agreement(self._role, ke, confirm_a, confirm_b)

    def _constant(self, point):
        return PointJacobi.from_bytes(self.CURVE, bytes.fromhex(point), order=self.ORDER)

    @staticmethod
    def _encode(point):
        return point.to_bytes("uncompressed")


class Ed25519:
    """python-spake2's default suite, with the service's key confirmation."""

    def __init__(self, role, password, session_id, id_a, id_b, scalar=None):
        kind = spake2.SPAKE2_A if role == "a" else spake2.SPAKE2_B
        self._role = role
        self._names = (session_id.encode(), id_a.encode(), id_b.encode())
        options = {}
        if scalar is not None:
            # The package draws 64 bytes, big-endian, and reduces them.
            options["entropy_f"] = lambda size: scalar.to_bytes(size, "big")
        self._spake = kind(password.encode(), idA=id_a.encode(), idB=id_b.encode(), **options)
        self.public_key = self._spake.start()

    def finish(self, public_key):
        try:
            key = self._spake.finish(public_key)
        except (spake2.SPAKEError, ValueError, AssertionError) as error:
            raise BadPublicKey("not a message of the other side") from error
        a, b = (self.public_key, public_key) if self._role == "a" else (public_key, self.public_key)
        parts = lp(b"durward/1 spake confirm", b"spake2-ed25519", *self._names, a, b)
        transcript = hashlib.sha256(parts).digest()
        confirm_a = hmac.digest(hkdf(key, b"durward/1 spake confirm a", 32), transcript, "sha256")
        confirm_b = hmac.digest(hkdf(key, b"durward/1 spake confirm b", 32), transcript, "sha256")
        return agreement(self._role, key, confirm_a, confirm_b)


def agreement(role, ke, confirm_a, confirm_b):
    secret = hkdf(ke, b"durward/1 spake secret", 32)
    mine, theirs = (confirm_a, confirm_b) if role == "a" else (confirm_b, confirm_a)
    return Agreement(secret, mine, theirs)


def lp(*parts):
    """Each part after its length as eight bytes, little-endian."""
    return b"".join(len(part).to_bytes(8, "little") + part for part in parts)


def hkdf(key, info, length):
    """HKDF-SHA256 (RFC 5869) without salt, for at most one block of output."""
    assert length <= 32
    prk = hmac.digest(bytes(32), key, "sha256")
    return hmac.digest(prk, info + b"\x01", "sha256")[:length]


# --- the HTTP interface -------------------------------------------------------------------------------------------


class ServiceError(Exception):
    """The service refused. `code` is stable, `status` the HTTP status."""

    def __init__(self, status, code, message):
        super().__init__(f"{message} ({code}, {status})")
        self.status = status
        self.code = code


class Service:
    """The calls of the service over any transport: a function of method, path and body that returns status and body."""

    def __init__(self, transport):
        self._transport = transport

    def initiate(self, session_id, password, **options):
        return self._call("POST", "/spake/initiate", {"session_id": session_id, "password": password, **options})

    def exchange(self, session_id, public_key, confirmation=None):
        body = {"session_id": session_id, "client_public_key": public_key.hex()}
        if confirmation is not None:
            body["client_confirmation"] = confirmation.hex()
        return self._call("POST", "/spake/exchange", body)

    def confirm(self, session_id, confirmation):
        body = {"session_id": session_id, "client_confirmation": confirmation.hex()}
        return self._call("POST", "/spake/confirm", body)

    def status(self, session_id):
        return self._call("GET", f"/spake/status/{urllib.parse.quote(session_id, safe='')}")

    def cleanup(self, session_id):
        return self._call("DELETE", f"/spake/cleanup/{urllib.parse.quote(session_id, safe='')}")

    def sessions(self):
        return self._call("GET", "/spake/sessions")

    def _call(self, method, path, body=None):
        status, answer = self._transport(method, path, body)
        if status != 200:
            raise ServiceError(status, answer.get("error", "unknown"), answer.get("message", "no message"))
        return answer


class Http:
    """The transport over HTTP. The token goes into a header, never into a URL."""

    def __init__(self, base_url, token=None):
        host = urllib.parse.urlsplit(base_url).hostname
        if host not in ("127.0.0.1", "::1", "localhost"):
            raise ValueError("the service is a sidecar: it is reached over loopback only, see docs/spake-service.md")
        self._base = base_url.rstrip("/")
        self._headers = {"Content-Type": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        # No proxy: a password is in the body.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def __call__(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, self._headers, method=method)
        try:
            with self._opener.open(request, timeout=30) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
        except (urllib.error.URLError, http.client.HTTPException) as error:
            raise ConnectionError(f"no answer from {self._base}: is `durward spake serve` running?") from error
