#!/bin/bash
# AWS as moto pretends to be it (S3, SQS, EC2 and others), on one port: moto.sh FOLDER PORT
# The accounts named in TIDEGATE_ESTATES have a small estate from the beginning.
. "$(dirname "$0")/common.sh"
need_pypi moto 'moto[server]==5.1.16'
# The images that Amazon offers are a thousand, and nobody asks for them.
export MOTO_EC2_LOAD_DEFAULT_AMIS=false
server "$kept/moto/bin/python" "$(dirname "$0")/moto_server.py" -H 127.0.0.1 -p "$1"
await 60 listens "$1"
if [ -n "${TIDEGATE_ESTATES:-}" ]; then
  # shellcheck disable=SC2086 # a list of accounts
  "$kept/moto/bin/python" "$(dirname "$0")/estate.py" "http://127.0.0.1:$1" $TIDEGATE_ESTATES >&2
fi
# The estate for the controls of the pack `aws`, and what is expected of them in a file.
if [ -n "${TIDEGATE_ESTATE_CONTROLS:-}" ]; then
  "$kept/moto/bin/python" "$(dirname "$0")/estate_controls.py" "http://127.0.0.1:$1" >"$folder/expected.json"
fi
serve
