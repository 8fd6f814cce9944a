"""A Durward agent in Python: pairs by code, asks for one credential, prints it as JSON.

python agent.py --approver http://127.0.0.1:5000 --domain example.com --reason "Book the flight"
"""

import argparse
import hmac
import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request

import spake2

import durward
from durward import Refused, b64, unb64


class Unreachable(Exception):
    """Nobody answers there, or not to the end."""


class Approver:
    def __init__(self, url):
        self.url = url.rstrip("/")
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def post(self, path, body, wait=None):
        """[9] three tries for what is transient; (status, answer)."""
        headers = {"Content-Type": "application/json"}
        if wait is not None:
            headers["Prefer"] = f"wait={wait}"
        for attempt in range(3):
            request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
            try:
                with self.opener.open(request, timeout=15 + (wait or 0)) as answer:
                    return answer.status, json.loads(answer.read(65536))
            except urllib.error.HTTPError as error:
                told = error_body(error.read(65536))
                if error.code not in (408, 502, 503, 504) or attempt == 2:
                    raise Refused(told.get("error", f"http_{error.code}"), told.get("message", "")) from error
            except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
                if attempt == 2:
                    reason = getattr(error, "reason", error)
                    raise Unreachable(f"cannot connect to the approver at {self.url}: {reason}") from error
            time.sleep(0.1 * 2**attempt * (1 + secrets.randbelow(1000) / 1000))

    def post_until_ready(self, path, body):
        """Holds on through 202; `body` is called anew each time."""
        while True:
            started = time.monotonic()
            status, answer = self.post(path, body(), wait=60)
            if status == 200:
                return answer
            if time.monotonic() - started < 1:
                time.sleep(0.2)


def error_body(body):
    """{} for a body that is none of an approver's."""
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


class Session:
    def __init__(self, approver, session_id, keys):
        self.approver, self.session_id, self.keys = approver, session_id, keys

    def sealed(self, kind, **fields):
        payload = durward.seal(self.keys.a_to_b, "a", self.session_id, durward.message(kind, **fields))
        return {"session_id": self.session_id, "encrypted_payload": payload}

    def opened(self, answer):
        return json.loads(
            durward.open_envelope(self.keys.b_to_a, "b", self.session_id, answer["encrypted_payload"])
        )

    def request(self, domain, reason, fields):
        """[6]"""
        own = b64(os.urandom(16))
        ask = lambda: self.sealed("credential.request", id=own, domain=domain, reason=reason, fields=fields)
        verdict = self.opened(self.approver.post_until_ready("/credential/request", ask))
        if verdict["type"] != "credential.response" or verdict["in_reply_to"] != own:
            raise Refused("bad_envelope", "it answers something else")
        return verdict

    def revoke(self):
        """[7]"""
        _, answer = self.approver.post("/session/revoke", self.sealed("session.revoke"))
        if self.opened(answer)["type"] != "ok":
            raise Refused("wrong_type")


def pair(approver, agent_id, agent_name, scope, show):
    """[2]"""
    body = {"agent_id": agent_id, "agent_name": agent_name}
    if scope:
        body["scope"] = scope
    _, opened = approver.post("/pairing/initiate", body)
    code = str(100000 + secrets.randbelow(900000))
    side = spake2.SPAKE2_A(code.encode(), idA=agent_id.encode(), idB=opened["approver_id"].encode())
    msg_a = side.start()
    show(f"{opened['number']}-{code}")
    exchange = {"pairing_id": opened["pairing_id"], "pake_message": b64(msg_a)}
    answer = approver.post_until_ready("/pairing/exchange", lambda: exchange)
    try:
        return finish(approver, body, scope, opened, side, msg_a, answer)
    except Refused:
        approver.post("/pairing/cancel", {"pairing_id": opened["pairing_id"]})
        raise


def finish(approver, body, scope, opened, side, msg_a, answer):
    msg_b, mac_b = durward.check_pake_message(answer["pake_message"], "b"), unb64(answer["confirmation"])
    if len(mac_b) != 32 or answer["agent_id"] != body["agent_id"]:
        raise Refused("bad_pake_message")
    if not durward.within(answer["scope"], scope):
        raise Refused("scope_widened")
    transcript = durward.transcript_bytes(
        opened["pairing_id"],
        body["agent_id"],
        body["agent_name"],
        opened["approver_id"],
        scope,
        answer["scope"],
        answer["session_id"],
        msg_a,
        msg_b,
    )
    keys = durward.Keys(side.finish(msg_b), durward.sha256(transcript))
    if not hmac.compare_digest(keys.mac_b, mac_b):
        raise Refused("confirmation_failed", "another code was typed, or somebody is in between")
    confirm = {"session_id": answer["session_id"], "confirmation": b64(keys.mac_a)}
    approver.post("/pairing/confirm", confirm)
    return Session(approver, answer["session_id"], keys)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--approver", default="http://127.0.0.1:5000")
    parser.add_argument("--domain", required=True)
    parser.add_argument("--reason", required=True)
    parser.add_argument("--field", action="append")
    parser.add_argument("--name", default="Python agent")
    parser.add_argument("--scope", default="", help="JSON, for example {\"max_uses\":1}")
    parser.add_argument("--words", help="docs/vectors/eff_large_wordlist.txt, to show the fingerprint")
    args = parser.parse_args()
    scope = b64(args.scope.encode()) if args.scope else ""
    show = lambda number_code: print(f"Type this at the approver: {number_code}", flush=True)
    try:
        agent_id = "python-" + secrets.token_hex(4)
        session = pair(Approver(args.approver), agent_id, args.name, scope, show)
        if args.words:
            with open(args.words, encoding="utf-8") as file:
                words = file.read().split("\n")
            print("Fingerprint:", durward.fingerprint_words(session.keys.fingerprint, words), flush=True)
        verdict = session.request(args.domain, args.reason, args.field or ["username", "password"])
        session.revoke()
    except Refused as error:
        print(json.dumps({"success": False, "error": {"code": error.code, "message": str(error)}}))
        return 1
    except Unreachable as error:
        print(json.dumps({"success": False, "error": {"code": "cannot_connect", "message": str(error)}}))
        print(f"{error}; is it running? (durward up)", file=sys.stderr)
        return 2
    good = verdict["status"] == "approved"
    known = ("username", "password", "totp", "uri", "notes", "custom", "domain")
    if good:
        credential = {key: verdict[key] for key in known if key in verdict}
        print(json.dumps({"success": True, "credential": credential}))
    else:
        error = {"code": verdict["status"], "message": verdict.get("reason", "")}
        print(json.dumps({"success": False, "error": error}))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
