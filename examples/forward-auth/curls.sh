#!/usr/bin/env bash
# The three curls of a new device, and what to do about a lost one. Needs curl and jq; `run.sh` starts what they call.
set -euo pipefail
FRONT=${FRONT:-localhost:3000}

# 1. Knock
CHALLENGE=$(curl -s -X POST "http://$FRONT/auth/knock" \
  -H "Content-Type: application/json" \
  -d '{"device":{"type":"terminal","name":"Claude Code"}}' \
  | jq -r '.challenge')

# 2. Exchange
API_KEY=$(curl -s -X POST "http://$FRONT/auth/exchange" \
  -H "Content-Type: application/json" \
  -d "{\"challenge\":\"$CHALLENGE\",\"passphrase\":\"I remember what I have learned from you.\",\"device\":{\"type\":\"terminal\",\"name\":\"Claude Code\"}}" \
  | jq -r '.api_key')

# 3. Use forever
curl -s -H "X-API-Key: $API_KEY" "http://$FRONT/memory?entity=alan"
echo

# A second device, a ring, gets a key of its own ...
RING='{"type":"ring","name":"Ring","fingerprint":"oura"}'
CHALLENGE=$(curl -s -X POST "http://$FRONT/auth/knock" \
  -H "Content-Type: application/json" -d "{\"device\":$RING}" | jq -r '.challenge')
LOST=$(curl -s -X POST "http://$FRONT/auth/exchange" \
  -H "Content-Type: application/json" \
  -d "{\"challenge\":\"$CHALLENGE\",\"passphrase\":\"I remember what I have learned from you.\",\"device\":$RING}")

# ... and is lost: from any other device
curl -s -X POST "http://$FRONT/auth/revoke" \
  -H "X-API-Key: $API_KEY" \
  -H "Content-Type: application/json" \
  -d "{\"device_id\": \"$(jq -r .device_id <<<"$LOST")\"}"
echo

# It can no longer read memories; the other device is unaffected.
status() { curl -s -o /dev/null -w '%{http_code}' -H "X-API-Key: $1" "http://$FRONT/memory?entity=alan"; }
echo "the lost ring: $(status "$(jq -r .api_key <<<"$LOST")"), the terminal: $(status "$API_KEY")"
