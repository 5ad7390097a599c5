#!/bin/bash
# mosquitto.sh FOLDER PORT PORT_WITH_PASSWORD PORT_WITH_TLS: Debian's MQTT broker. What it keeps for absent clients is in
# FOLDER/data, at once. User `gate`, password `sluice`; the TLS port wants a client certificate: FOLDER/ca.pem,
# client.pem and client.key. `gate` may not read topics below `secret/`.
source "$(dirname "$0")/common.sh"
need_debian mosquitto mosquitto
need_debian mosquitto_pub mosquitto-clients
source "$(dirname "$0")/certificates.sh"

certificates
if [ ! -e "$folder/passwords" ]; then
  mkdir -p "$folder/data"
  mosquitto_passwd -b -c "$folder/passwords" gate sluice
  printf 'topic readwrite #\n' >"$folder/all"
  printf 'user gate\ntopic write #\ntopic read open/#\n' >"$folder/rules"
  chmod 0600 "$folder/passwords"
fi
cat >"$folder/mosquitto.conf" <<END
user root
persistence true
persistence_location $folder/data/
autosave_interval 1
autosave_on_changes true
max_queued_messages 0
per_listener_settings true
listener $1 127.0.0.1
allow_anonymous true
acl_file $folder/all
listener $2 127.0.0.1
password_file $folder/passwords
acl_file $folder/rules
listener $3 127.0.0.1
allow_anonymous true
acl_file $folder/all
cafile $folder/ca.pem
certfile $folder/server.pem
keyfile $folder/server.key
require_certificate true
END
PATH=$PATH:/usr/sbin server mosquitto -c "$folder/mosquitto.conf"
await 20 listens "$3"
serve
# It may write what it keeps before it ends.
kill "${servers[0]}"
timeout 10 tail --pid="${servers[0]}" -f /dev/null || true
