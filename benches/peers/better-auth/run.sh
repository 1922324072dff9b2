#!/bin/sh
# Accepting invitations with Better Auth, by itself:
#   benches/peers/better-auth/run.sh postgres://user@host/empty-database [--rounds 5] [--millis 1000]
set -eu
cd "$(dirname "$0")"
[ -d node_modules ] || npm ci --no-audit --no-fund --loglevel=error >&2
exec node bench.mjs "$@"
