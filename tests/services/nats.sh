#!/bin/bash
# nats.sh FOLDER PORT PORT_WITH_TLS: nats-server, built from the Go module proxy, with JetStream in FOLDER/data. The
# second port is another server without JetStream: it wants a client certificate and the user `gate`, password `sluice`.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/certificates.sh"
version=v2.11.10
program=$kept/bin/nats-server

build() {
  [ -x "$program" ] && return 0
  GOBIN=$kept/bin go install "github.com/nats-io/nats-server/v2@$version"
}
[ -x "$program" ] || may_install nats-server
[ -x "$program" ] || one_at_a_time build >&2 || cannot "nats-server cannot be built with Go"

certificates
cat >"$folder/plain.conf" <<END
listen: 127.0.0.1:$1
jetstream { store_dir: "$folder/data", max_file_store: 256MB, max_memory_store: 16MB }
END
cat >"$folder/tls.conf" <<END
listen: 127.0.0.1:$2
authorization { user: gate, password: sluice }
tls { cert_file: "$folder/server.pem", key_file: "$folder/server.key", ca_file: "$folder/ca.pem", verify: true }
END
server "$program" -c "$folder/plain.conf"
server "$program" -c "$folder/tls.conf"
await 20 listens "$1"
await 20 listens "$2"
serve
