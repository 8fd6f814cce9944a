#!/bin/sh
# Installs Bitwarden's own command line, with the Node it needs, below .tools/ of this repository. Nothing outside
# that folder is touched. Tests of interoperability call this; running it twice does nothing the second time.
#
#   scripts/install-official-bw.sh [VERSION …]        default: 2026.7.0 2026.9.0
set -eu

root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
[ $# -gt 0 ] || set -- 2026.7.0 2026.9.0

command -v npm >/dev/null 2>&1 || {
    echo "npm is not installed: install Node.js, or run the tests where it is" >&2
    exit 1
}

for version in "$@"; do
    folder="$root/.tools/bitwarden-cli-$version"
    [ -e "$folder/complete" ] && continue
    rm -rf "$folder.new"
    mkdir -p "$folder.new"
    printf '{"private":true}\n' >"$folder.new/package.json"
    # npm's own `node` package brings the interpreter, so the system's version does not matter.
    (cd "$folder.new" && npm install --no-audit --no-fund --loglevel=error "@bitwarden/cli@$version" node@22)
    test -x "$folder.new/node_modules/node/bin/node"
    test -f "$folder.new/node_modules/@bitwarden/cli/build/bw.js"
    : >"$folder.new/complete"
    rm -rf "$folder"
    mv "$folder.new" "$folder"
done
