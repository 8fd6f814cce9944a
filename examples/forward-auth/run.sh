#!/usr/bin/env bash
# Starts Durward, a toy service and nginx before both, each on loopback, and plays curls.sh.
#
#   ./run.sh          plays the curls and ends
#   ./run.sh --stay   stays until Ctrl-C, for curls of your own
#
# Ports: FRONT_PORT (3000), SERVICE_PORT (8080), AUTH_PORT (5000). Programs: DURWARD (durward), NGINX (nginx).
# Everything lies in a folder of its own, which goes at the end.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
front=${FRONT_PORT:-3000} service=${SERVICE_PORT:-8080} auth=${AUTH_PORT:-5000}
durward=${DURWARD:-durward}
nginx=${NGINX:-$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v nginx)} || {
    echo "nginx is not installed" >&2
    exit 1
}
folder=$(mktemp -d)
pids=()
end() {
    [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
    wait
    rm -rf "$folder"
}
trap end EXIT

export DURWARD_HOME=$folder/home
mkdir -m 700 "$DURWARD_HOME"
echo 'rest_key = "file"' >"$DURWARD_HOME/config.toml"
echo "I remember what I have learned from you." | "$durward" account add alan --password-stdin >"$folder/recovery-codes"
"$durward" serve --port "$auth" --no-control-port --no-devices --trusted-proxy 127.0.0.1 2>"$folder/durward.log" &
pids+=($!)
python3 "$here/service.py" "$service" >/dev/null &
pids+=($!)
sed -e "s/127.0.0.1:3000/127.0.0.1:$front/" -e "s/127.0.0.1:8080/127.0.0.1:$service/" \
    -e "s/127.0.0.1:5000/127.0.0.1:$auth/" "$here/nginx.conf" >"$folder/nginx.conf"
"$nginx" -p "$folder" -c "$folder/nginx.conf" &
pids+=($!)

# Until all three answer: 401 comes from Durward through nginx.
up() {
    [ "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$front/memory")" = 401 ] &&
        [ "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$service/")" = 404 ]
}
for _ in $(seq 300); do
    up && break
    sleep 0.1
done
up || {
    cat "$folder/durward.log" >&2
    exit 1
}

FRONT=127.0.0.1:$front "$here/curls.sh"
if [ "${1:-}" = --stay ]; then
    echo "Listening on http://localhost:$front until Ctrl-C." >&2
    wait
fi
