"""One exchange with a Durward SPAKE service, which plays the other side here.

    python example.py --url http://127.0.0.1:5000 --token-file FILE [--suite spake2-ed25519] [--role a]
"""

import argparse
import getpass
import os
import pathlib
import secrets
import sys

from durward_spake import BadPublicKey, Http, Service, ServiceError, peer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:5000")
    parser.add_argument("--token-file", type=pathlib.Path, help="the file that holds the spake token")
    parser.add_argument("--suite", default="p256-sha256", choices=("p256-sha256", "spake2-ed25519"))
    parser.add_argument("--role", default="b", choices=("a", "b"), help="the service's side")
    args = parser.parse_args()
    password = os.environ.get("SPAKE_PASSWORD") or getpass.getpass("Password: ")
    token = args.token_file.read_text().strip() if args.token_file else None
    service = Service(Http(args.url, token))
    session_id = f"example-{secrets.token_hex(8)}"

    # The service makes its key, and so do we.
    started = service.initiate(session_id, password, suite=args.suite, role=args.role)
    side = peer(args.suite, "a" if args.role == "b" else "b", password, session_id)

    # We compute first, so that we can prove at once that we know the password.
    agreed = side.finish(bytes.fromhex(started["public_key"]))
    done = service.exchange(session_id, side.public_key, agreed.confirmation)
    service.cleanup(session_id)

    # The service's proof for us. Without this check we would not know whom we agreed with.
    if not agreed.confirms(bytes.fromhex(done["confirmation"])):
        sys.exit("The service does not have the same password.")
    print(f"Secrets match: {bytes.fromhex(done['shared_secret']) == agreed.secret}")


if __name__ == "__main__":
    try:
        main()
    except (ServiceError, BadPublicKey, ConnectionError, ValueError) as error:
        sys.exit(str(error))
