# What the scripts that start real servers share. A script is called as `NAME.sh FOLDER PORT…`: it installs what is
# missing, starts the server on loopback with its files in FOLDER, prints `ready` when it takes connections, and stops
# it when stdin is closed (so also when whoever started it has died). It exits with 77 and the reason as its last
# line on stderr where the server cannot be had on this machine.
set -euo pipefail
folder=$1
shift
# Where installed things are kept between runs.
kept=${TIDEGATE_SERVICES:-${XDG_CACHE_HOME:-$HOME/.cache}/tidegate-services}
mkdir -p "$kept" "$folder"

cannot() {
  echo "$*" >&2
  exit 77
}

# one_at_a_time COMMAND…: installations wait for one another.
one_at_a_time() {
  (
    flock 9
    "$@"
  ) 9>"$kept/lock"
}

# may_install WHAT: nothing is installed on a machine whose owner did not ask for it.
may_install() {
  [ "${TIDEGATE_REQUIRE_SERVICES:-}" = 1 ] || cannot "$1 is not installed; TIDEGATE_REQUIRE_SERVICES=1 installs it"
}

# need_debian PROGRAM PACKAGE…: installs the packages unless the program is there.
need_debian() {
  local program=$1
  shift
  PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null && return 0
  may_install "$program"
  one_at_a_time debian "$program" "$@" >&2 || cannot "Debian packages $* cannot be installed"
}
debian() {
  local program=$1
  shift
  PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null && return 0
  # A package must not start its server by itself: every test has its own.
  printf '#!/bin/sh\nexit 101\n' >"$kept/policy-rc.d" && chmod +x "$kept/policy-rc.d"
  [ -e /usr/sbin/policy-rc.d ] || ln -s "$kept/policy-rc.d" /usr/sbin/policy-rc.d
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# need_pypi FOLDER REQUIREMENT…: a virtual environment $kept/FOLDER with these packages.
need_pypi() {
  [ -e "$kept/$1/installed" ] && return 0
  may_install "${*:2}"
  one_at_a_time pypi "$@" >&2 || cannot "PyPI packages ${*:2} cannot be installed"
}
pypi() {
  local environment=$kept/$1
  shift
  [ -e "$environment/installed" ] && return 0
  python3 -m venv "$environment" && "$environment/bin/pip" install -q "$@" && touch "$environment/installed"
}

servers=()
# server COMMAND…: starts one in the background, its output in FOLDER/log.
server() {
  "$@" >>"$folder/log" 2>&1 </dev/null &
  servers+=($!)
}

# await SECONDS COMMAND…: until the command succeeds; fails when a server has ended before.
await() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    for process in "${servers[@]}"; do
      kill -0 "$process" 2>/dev/null || { tail -n 30 "$folder/log" >&2; echo "the server has ended" >&2; exit 1; }
    done
    [ $SECONDS -lt $deadline ] || { tail -n 30 "$folder/log" >&2; echo "the server does not answer" >&2; exit 1; }
    sleep 0.1
  done
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1"); }

# Says that all is ready, and stays until stdin is closed.
serve() {
  echo ready
  cat >/dev/null || true
}

stop_servers() {
  for process in "${servers[@]}"; do
    kill "$process" 2>/dev/null || true
  done
  sleep 0.2
  for process in "${servers[@]}"; do
    kill -9 "$process" 2>/dev/null || true
  done
}
trap stop_servers EXIT
