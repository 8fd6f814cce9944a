#!/bin/sh
# One exchange between two SPAKE services with curl and jq. The shell stands for the channel between two hosts: what
# it carries from one service to the other is a public key and a confirmation.
#
#   ./spake.sh --token-file FILE [URL_A [URL_B]]
#   ./spake.sh --no-token [URL_A [URL_B]]
#
# URL_A and URL_B default to http://localhost:5000 and http://localhost:5001. The password comes from SPAKE_PASSWORD.
# With --token-file twice, the second is service B's.
set -eu

fail() {
    echo "$*" >&2
    exit 1
}

token_a=
token_b=
no_token=
while [ $# -gt 0 ]; do
    case $1 in
    --token-file)
        [ $# -ge 2 ] || fail "--token-file needs a file"
        if [ -z "$token_a" ]; then token_a=$2; else token_b=$2; fi
        shift 2
        ;;
    --no-token) no_token=yes && shift ;;
    -*) fail "unknown option $1: use --token-file FILE or --no-token" ;;
    *) break ;;
    esac
done
[ -n "$token_a$no_token" ] || fail "give --token-file FILE (durward token list names it), or --no-token"
[ -n "${SPAKE_PASSWORD:-}" ] || fail "set SPAKE_PASSWORD"
export SPAKE_PASSWORD
url_a=${1:-http://localhost:5000}
url_b=${2:-http://localhost:5001}
token_b=${token_b:-$token_a}

# call TOKEN_FILE METHOD URL [BODY]: the token and the body go to curl through files that no other process sees the
# contents of, never through its arguments.
call() {
    {
        echo 'header = "Content-Type: application/json"'
        if [ -n "$1" ]; then printf 'header = "Authorization: Bearer %s"\n' "$(cat "$1")"; fi
    } >"$folder/config"
    printf '%s' "${4:-}" >"$folder/body"
    set -- "$2" "$3" "${4:+yes}"
    curl --silent --show-error --noproxy '*' --config "$folder/config" --request "$1" \
        ${3:+--data-binary "@$folder/body"} "$2" >"$folder/answer" || fail "no answer from $2"
    if jq --exit-status 'has("error")' "$folder/answer" >/dev/null; then
        fail "$2: $(jq --raw-output '"\(.message) (\(.error))"' "$folder/answer")"
    fi
}

field() {
    jq --raw-output ".$1" "$folder/answer"
}

umask 077
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM

# Both hosts know the password and have agreed on a name for the session.
session=curl-$$-$(date +%s)
initiate() {
    jq --null-input --compact-output --arg id "$session" --arg role "$1" \
        '{session_id: $id, password: env.SPAKE_PASSWORD, role: $role, id_a: "host-1", id_b: "host-2"}'
}
call "$token_a" POST "$url_a/spake/initiate" "$(initiate a)"
key_a=$(field public_key)
call "$token_b" POST "$url_b/spake/initiate" "$(initiate b)"
key_b=$(field public_key)

# A gets B's key and answers with its secret, unconfirmed yet, and a proof for B.
call "$token_a" POST "$url_a/spake/exchange" \
    "$(jq --null-input --arg id "$session" --arg key "$key_b" '{session_id: $id, client_public_key: $key}')"
confirmation_a=$(field confirmation)
secret_a=$(field shared_secret)

# B gets A's key and proof. A wrong password would end here, with nothing released.
call "$token_b" POST "$url_b/spake/exchange" \
    "$(jq --null-input --arg id "$session" --arg key "$key_a" --arg mac "$confirmation_a" \
        '{session_id: $id, client_public_key: $key, client_confirmation: $mac}')"
secret_b=$(field shared_secret)
confirmed_b=$(field peer_confirmed)
confirmation_b=$(field confirmation)

# A gets B's proof.
call "$token_a" POST "$url_a/spake/confirm" \
    "$(jq --null-input --arg id "$session" --arg mac "$confirmation_b" '{session_id: $id, client_confirmation: $mac}')"
confirmed_a=$(field peer_confirmed)

call "$token_a" DELETE "$url_a/spake/cleanup/$session"
call "$token_b" DELETE "$url_b/spake/cleanup/$session"

[ "$secret_a" = "$secret_b" ] || fail "the secrets differ"
echo "Secrets match; A has B's proof: $confirmed_a, B has A's proof: $confirmed_b"
