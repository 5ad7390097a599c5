#!/bin/bash
# AWS as moto pretends to be it (S3, SQS and others), on one port: moto.sh FOLDER PORT
. "$(dirname "$0")/common.sh"
need_pypi moto 'moto[server]==5.1.16'
server "$kept/moto/bin/moto_server" -H 127.0.0.1 -p "$1"
await 60 listens "$1"
serve
