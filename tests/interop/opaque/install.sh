#!/bin/sh
# Installs the pinned npm client beside this script. Says what is missing and fails where it cannot.
set -eu
cd "$(dirname "$0")"
for tool in node npm; do
    command -v "$tool" >/dev/null || { echo "$0: $tool is missing: install Node.js 18 or newer with npm" >&2; exit 1; }
done
npm ci --no-audit --no-fund --ignore-scripts >&2
