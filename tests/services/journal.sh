#!/bin/bash
# FOLDER: a recorded journal of 2,000 entries, FOLDER/recorded.journal. No server: it is `ready` when the file is there.
source "$(dirname "$0")/common.sh"
PATH=$PATH:/lib/systemd:/usr/lib/systemd
need_debian journalctl systemd
need_debian systemd-journal-remote systemd-journal-remote
for number in $(seq 1 2000); do
  printf '__REALTIME_TIMESTAMP=%s\n__MONOTONIC_TIMESTAMP=%s\n_BOOT_ID=%032d\n' $((1700000000000000 + number)) "$number" 1
  printf '_MACHINE_ID=%032d\nPRIORITY=%s\nMESSAGE=entry %s\n\n' 2 $((number % 8)) "$number"
done | systemd-journal-remote -o "$folder/recorded.journal" - >&2 || cannot "a journal cannot be written"
serve
