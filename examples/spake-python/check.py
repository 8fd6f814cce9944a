"""Runs both sides of every suite and role against a Durward SPAKE service and compares what they agree on.

    python check.py --url http://127.0.0.1:5000 --token-file FILE
    python check.py --stdio         requests on standard output, answers on standard input: for the tests
"""

import argparse
import json
import pathlib
import secrets
import sys

from durward_spake import SUITES, BadPublicKey, Http, Service, ServiceError, peer, stretch

# On the curve, but below eight in order, or plus something that is; the service must take neither.
SMALL_ORDER = "41c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="the service, for example http://127.0.0.1:5000")
    where.add_argument("--stdio", action="store_true")
    parser.add_argument("--token-file", type=pathlib.Path, help="the file that holds the spake token")
    args = parser.parse_args()
    if args.stdio:
        service = Service(stdio)
    else:
        token = args.token_file.read_text().strip() if args.token_file else None
        service = Service(Http(args.url, token))

    for suite in SUITES:
        for service_role in ("b", "a"):
            check(service, suite, service_role)
            say(f"ok {suite}, service is {service_role}")
    check_refusals(service)
    say("ok refusals")


def check(service, suite, role):
    ours = "a" if role == "b" else "b"
    for ids in ({}, {"id_a": "alice@example.com", "id_b": "büro"}):
        for confirm in (True, False):
            session_id = new_id()
            password = new_password(suite)
            started = service.initiate(session_id, password, suite=suite, role=role, **ids)
            expect(started["status"], "initiated")
            expect((started["suite"], started["role"]), (suite, role))
            key = bytes.fromhex(started["public_key"])

            side = peer(suite, ours, password, session_id, **ids)
            agreed = side.finish(key)
            done = service.exchange(session_id, side.public_key, agreed.confirmation if confirm else None)
            expect(done["status"], "completed")
            expect(done["peer_confirmed"], confirm)
            expect(bytes.fromhex(done["shared_secret"]) == agreed.secret, True)
            expect(agreed.confirms(bytes.fromhex(done["confirmation"])), True)
            if not confirm:
                late = service.confirm(session_id, agreed.confirmation)
                expect((late["status"], late["peer_confirmed"]), ("completed", True))
            refused(lambda: service.confirm(session_id, agreed.confirmation), 409, "session_completed")
            expect(service.status(session_id)["status"], "completed")
            refused(lambda: service.exchange(session_id, side.public_key), 409, "session_completed")
            expect(service.cleanup(session_id)["message"], "Session cleaned up successfully")

    # Another password: our confirmation releases nothing there, and without one the secrets differ.
    for confirm in (True, False):
        session_id = new_id()
        started = service.initiate(session_id, new_password(suite), suite=suite, role=role)
        side = peer(suite, ours, new_password(suite), session_id)
        agreed = side.finish(bytes.fromhex(started["public_key"]))
        if confirm:
            refused(
                lambda: service.exchange(session_id, side.public_key, agreed.confirmation),
                400,
                "confirmation_failed",
            )
            expect(service.status(session_id)["status"], "failed")
        else:
            done = service.exchange(session_id, side.public_key)
            expect(bytes.fromhex(done["shared_secret"]) == agreed.secret, False)
            expect(agreed.confirms(bytes.fromhex(done["confirmation"])), False)
            refused(lambda: service.confirm(session_id, agreed.confirmation), 400, "confirmation_failed")
            expect(service.status(session_id)["status"], "failed")
        service.cleanup(session_id)

    # Our own key, mirrored by the other side, is nothing we take for a peer's.
    side = peer(suite, ours, new_password(suite), session_id)
    if suite == "spake2-ed25519":
        try:
            side.finish(side.public_key)
        except BadPublicKey:
            return
        raise SystemExit("our own message was taken for the other side's")


def check_refusals(service):
    session_id = new_id()
    service.initiate(session_id, "password", suite="spake2-ed25519")
    refused(lambda: service.initiate(session_id, "password"), 409, "session_exists")
    refused(lambda: service.exchange(session_id, bytes.fromhex(SMALL_ORDER)), 400, "bad_public_key")
    expect(service.status(session_id)["status"], "failed")
    listed = service.sessions()
    expect({"session_id": session_id, "status": "failed"} in listed["sessions"], True)
    expect(listed["active_sessions"], len(listed["sessions"]))
    service.cleanup(session_id)
    refused(lambda: service.status(session_id), 404, "session_not_found")
    refused(lambda: service.initiate("a b", "password"), 400, "invalid_session_id")
    refused(lambda: service.initiate(new_id(), "password", suite="p256"), 400, "unknown_suite")
    refused(lambda: service.initiate(new_id(), 1234), 400, "invalid_request")


def new_id():
    return f"check-{secrets.token_hex(8)}"


def new_password(suite):
    password = f"pässwörd {secrets.token_hex(4)}"
    return stretch(password, "any salt").hex() if suite == "p256-sha256-raw" else password


def expect(got, wanted):
    if got != wanted:
        raise SystemExit(f"expected {wanted!r}, got {got!r}")


def refused(call, status, code):
    try:
        call()
    except ServiceError as error:
        expect((error.status, error.code), (status, code))
    else:
        raise SystemExit(f"expected {status} {code}, but the call went through")


def stdio(method, path, body=None):
    request = {"method": method, "path": path}
    if body is not None:
        request["body"] = body
    print(json.dumps(request), flush=True)
    line = sys.stdin.readline()
    if not line:
        raise SystemExit("the service has gone")
    answer = json.loads(line)
    return answer["status"], answer["body"]


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
