#!/bin/bash
# postgresql.sh FOLDER PORT: Debian's PostgreSQL, its files in FOLDER/data. `postgres` needs no password; `gate` has the
# password `sluice`. With TLS by FOLDER/ca.pem for those who want it.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/certificates.sh"
[ -n "$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null)" ] || need_debian no-such-program postgresql
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
need_debian psql postgresql-client

# It refuses to run as root.
as_nobody=()
if [ "$(id -u)" = 0 ]; then
  id postgres >/dev/null 2>&1 || cannot "there is no user postgres"
  as_nobody=(setpriv --reuid=postgres --regid=postgres --clear-groups)
  chmod 0755 "$folder"
fi
certificates
if [ ! -e "$folder/data/PG_VERSION" ]; then
  mkdir -p "$folder/data"
  [ "$(id -u)" != 0 ] || chown postgres:postgres "$folder/data"
  (cd "$folder/data" && "${as_nobody[@]}" "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --no-locale) >>"$folder/log" 2>&1
  cat >"$folder/data/pg_hba.conf" <<END
host all postgres 127.0.0.1/32 trust
host all gate 127.0.0.1/32 scram-sha-256
END
  install -m 0600 "$folder/server.key" "$folder/server.pem" "$folder/data/"
  [ "$(id -u)" != 0 ] || chown postgres:postgres "$folder/data"/server.* "$folder/data/pg_hba.conf"
fi
touch "$folder/log"
cd "$folder/data"
server "${as_nobody[@]}" "$bin/postgres" -D "$folder/data" -p "$1" -c listen_addresses=127.0.0.1 \
  -c unix_socket_directories= -c fsync=off -c ssl=on -c ssl_cert_file=server.pem -c ssl_key_file=server.key
await 30 psql -h 127.0.0.1 -p "$1" -U postgres -c 'SELECT 1'
psql -h 127.0.0.1 -p "$1" -U postgres -c "CREATE ROLE gate LOGIN PASSWORD 'sluice'" >>"$folder/log" 2>&1 || true
serve
# At once, but in order.
kill -INT "${servers[0]}"
timeout 10 tail --pid="${servers[0]}" -f /dev/null || true
