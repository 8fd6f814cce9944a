#!/usr/bin/env bash
# Installs what the tests need and is not on the machine yet. Debian and Ubuntu are set up by themselves;
# elsewhere this says what to install.
set -euo pipefail

missing=()
need() { # command, package
    command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}
need age age
need script bsdutils
need python3 python3
need strace strace
need tmux tmux
need nginx nginx
need dbus-daemon dbus-daemon
need dbus-monitor dbus-bin
need gnome-keyring-daemon gnome-keyring
need faketime faketime
need git git
need curl curl
need jq jq
need chromium chromium
need ip iproute2
need psql postgresql-client

# PostgreSQL: the one that is named, one that answers here, else one of our own.
postgres_answers() {
    [ -n "${TEST_DATABASE_URL:-}" ] || (exec 3<>/dev/tcp/127.0.0.1/5432) 2>/dev/null
}
postgres_answers || command -v pg_ctlcluster >/dev/null 2>&1 || missing+=(postgresql)

if [ "${#missing[@]}" -gt 0 ]; then
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "the tests need: ${missing[*]} (install them with your package manager)" >&2
        exit 1
    fi
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    echo "installing for the tests: ${missing[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
fi

if ! postgres_answers; then
    cluster=$(find /etc/postgresql -mindepth 2 -maxdepth 2 -name main | head -n 1)
    version=$(basename "$(dirname "$cluster")")
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" pg_ctlcluster --skip-systemctl-redirect "$version" main start
    "${as_root[@]}" runuser -u postgres -- psql -qc "CREATE ROLE root SUPERUSER LOGIN" 2>/dev/null || true
    "${as_root[@]}" runuser -u postgres -- createdb test 2>/dev/null || true
fi
