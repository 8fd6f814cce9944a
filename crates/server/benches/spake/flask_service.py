"""The same two calls on Flask and PyPI spake2, as small as they can be: what the bench compares with.

    python spake_flask.py PORT
"""

import logging
import sys

from flask import Flask, jsonify, request
from spake2 import SPAKE2_B

app = Flask(__name__)
sessions = {}


@app.post("/spake/initiate")
def initiate():
    body = request.get_json()
    side = SPAKE2_B(body["password"].encode())
    sessions[body["session_id"]] = side
    return jsonify(session_id=body["session_id"], public_key=side.start().hex(), status="initiated")


@app.post("/spake/exchange")
def exchange():
    body = request.get_json()
    key = sessions.pop(body["session_id"]).finish(bytes.fromhex(body["client_public_key"]))
    return jsonify(session_id=body["session_id"], shared_secret=key.hex(), status="completed")


if __name__ == "__main__":
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app.run(host="127.0.0.1", port=int(sys.argv[1]), threaded=True)
