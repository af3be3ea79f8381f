#!/usr/bin/env bash
# A visit to the demo with curl and a cookie jar, checked step by step.
#
#   cargo run -p examples            in another terminal
#   examples/curl.sh [URL]           http://127.0.0.1:8080 unless another is given
set -euo pipefail

site=${1:-http://127.0.0.1:8080}
jar=$(mktemp)
trap 'rm -f "$jar"' EXIT

# Curl keeps the cookie in the jar and sends it from there, as a browser does.
ask() { curl --silent --show-error --fail --max-time 10 --cookie "$jar" --cookie-jar "$jar" "$@"; }
# The session's token, if the jar has one. HttpOnly cookies begin with a mark.
token() { awk '/^#HttpOnly_/ && $6 == "id" { print $7 }' "$jar"; }
fail() { echo "curl.sh: $1" >&2; exit 1; }
# step WHAT EXPECTED CURL-ARGUMENTS...: the answer must have EXPECTED in it.
step() {
  local what=$1 expected=$2 answer
  shift 2
  answer=$(ask "$@") || fail "$what: no answer"
  [[ $answer == *"$expected"* ]] || fail "$what: $expected expected, not $answer"
  echo "$what: $answer"
}

step "a look, and nothing is set" '"visits":null' "$site/api/session"
[ -z "$(token)" ] || fail "a look made a session"

step "the first visit" '"visits":1' --request POST "$site/visit"
visitor=$(token)
[ "${#visitor}" = 40 ] || fail "there is no token in the jar"
step "the second" '"visits":2' --request POST "$site/visit"
[ "$(token)" = "$visitor" ] || fail "the token changed without a reason"

step "a fruit" '"quince"' --data '{"item": "quince"}' "$site/cart"
step "signed in" '"user":"ada"' --data '{"user": "ada"}' "$site/sign-in"
user=$(token)
[ "$user" != "$visitor" ] || fail "the token is the one from before the sign-in"
[ "${user:0:16}" = "${visitor:0:16}" ] || fail "it is another session"
step "the cart is still there" '"cart":["quince"]' "$site/api/session"

# Whoever kept the old token has nothing.
old=$(curl --silent --fail --max-time 10 --header "Cookie: id=$visitor" "$site/api/session")
[[ $old == *'"user":null'* ]] || fail "the token from before the sign-in works: $old"

step "signed out" '"signed_out":true' --request POST "$site/sign-out"
[ -z "$(token)" ] || fail "the token is still in the jar"
again=$(curl --silent --fail --max-time 10 --header "Cookie: id=$user" "$site/api/session")
[[ $again == *'"user":null'* ]] || fail "the session outlived its sign-out: $again"
echo "all as it should be"
