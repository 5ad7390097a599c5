#!/bin/bash
# mosquitto.sh FOLDER PORT PORT_WITH_TLS: Debian's MQTT broker. What it keeps for absent clients is in FOLDER/data, at once.
# Everybody may do everything, but the user `gate` (password `sluice`) reads topics below `open/` only. The TLS port wants
# a client certificate: FOLDER/ca.pem, client.pem and client.key.
source "$(dirname "$0")/common.sh"
need_debian mosquitto mosquitto
need_debian mosquitto_pub mosquitto-clients
source "$(dirname "$0")/certificates.sh"

certificates
if [ ! -e "$folder/passwords" ]; then
  mkdir -p "$folder/data"
  mosquitto_passwd -b -c "$folder/passwords" gate sluice
  printf 'topic readwrite #\nuser gate\ntopic write #\ntopic read open/#\n' >"$folder/rules"
  chmod 0600 "$folder/passwords"
fi
cat >"$folder/mosquitto.conf" <<END
user root
persistence true
persistence_location $folder/data/
autosave_interval 1
autosave_on_changes true
max_queued_messages 0
allow_anonymous true
password_file $folder/passwords
acl_file $folder/rules
listener $1 127.0.0.1
listener $2 127.0.0.1
cafile $folder/ca.pem
certfile $folder/server.pem
keyfile $folder/server.key
require_certificate true
END
PATH=$PATH:/usr/sbin server mosquitto -c "$folder/mosquitto.conf"
await 20 listens "$2"
serve
# It may write what it keeps before it ends.
kill "${servers[0]}"
timeout 10 tail --pid="${servers[0]}" -f /dev/null || true
