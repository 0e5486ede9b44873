#!/bin/sh
# Publishes a message, or a batch, to clients of a gateway. curl tries again when there is no
# answer, and after 429 and 503: with the same key, so that nobody gets the message twice.
#
#   SLUICE_TOKEN=... sh publish.sh '{"uid":"ada","json":{"type":"paid","order":7}}' order-7-paid
set -eu
message=$1
key=$2
url=${SLUICE_ADMIN:-http://127.0.0.1:9090}/api/v1/publish

# The token goes through a pipe: other users of the machine can see the arguments of a process.
printf 'header = "Authorization: Bearer %s"\n' "$SLUICE_TOKEN" |
  curl --config - --silent --show-error --fail-with-body --max-time 30 --retry 5 --retry-connrefused \
    --header 'Content-Type: application/json' --header "Idempotency-Key: $key" --data "$message" "$url"
