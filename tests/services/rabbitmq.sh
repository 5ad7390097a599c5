#!/bin/bash
# rabbitmq.sh FOLDER PORT MANAGEMENT_PORT TLS_PORT DISTRIBUTION_PORT: Debian's RabbitMQ with its plugin for AMQP 1.0. User
# `guest`, password `guest`; the management port takes HTTP. Everything that it writes is in FOLDER.
source "$(dirname "$0")/common.sh"
source "$(dirname "$0")/certificates.sh"
need_debian rabbitmq-server rabbitmq-server
need_debian epmd erlang-base

export HOME=$folder
export RABBITMQ_NODENAME=tidegate$1@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT=$1
export RABBITMQ_DIST_PORT=$4 RABBITMQ_MNESIA_BASE=$folder/data RABBITMQ_LOG_BASE=$folder/logs
export RABBITMQ_ENABLED_PLUGINS_FILE=$folder/plugins RABBITMQ_PID_FILE=$folder/pid RABBITMQ_CONFIG_FILE=$folder/rabbitmq
export RABBITMQ_CONF_ENV_FILE=/dev/null ERL_CRASH_DUMP=$folder/erl_crash.dump
# The port mapper of Erlang listens on loopback too, on a port of its own: no other node is met there.
export ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$(($4 + 1))
mkdir -p "$folder/data" "$folder/logs"
certificates
echo '[rabbitmq_amqp1_0,rabbitmq_management].' >"$folder/plugins"
cat >"$folder/rabbitmq.conf" <<END
management.tcp.ip = 127.0.0.1
management.tcp.port = $2
listeners.ssl.1 = 127.0.0.1:$3
ssl_options.cacertfile = $folder/ca.pem
ssl_options.certfile = $folder/server.pem
ssl_options.keyfile = $folder/server.key
ssl_options.verify = verify_none
END

# Debian's wrapper wants the user `rabbitmq`; the program itself does not.
program=/usr/lib/rabbitmq/bin/rabbitmq-server
[ -x "$program" ] || program=$(ls -d /usr/lib/rabbitmq/lib/*/sbin/rabbitmq-server | head -n 1)
server "$program"
answers() { curl -sf -u guest:guest "http://127.0.0.1:$1/api/health/checks/local-alarms"; }
need_debian curl curl
await 240 answers "$2"
await 60 listens "$1"
await 60 listens "$3"
serve
# What was started is a shell; the server itself says who it is. It writes what was settled before it ends.
broker=$(cat "$folder/pid")
kill "$broker"
timeout 20 tail --pid="$broker" -f /dev/null || kill -9 "$broker"
epmd -port "$ERL_EPMD_PORT" -kill >/dev/null 2>&1 || true
