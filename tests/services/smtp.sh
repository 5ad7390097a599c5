#!/usr/bin/env bash
# smtp.sh FOLDER PORT: aiosmtpd (PyPI) on 127.0.0.1:PORT. It wants STARTTLS, then the name `tidegate` with the password
# `hunter2`, and writes each message as a line of JSON to FOLDER/messages.jsonl. FOLDER/ca.pem is its authority.
source "$(dirname "$0")/common.sh"
need_pypi smtp aiosmtpd
command -v openssl >/dev/null || cannot "openssl is not installed"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
  -addext basicConstraints=critical,CA:FALSE -keyout "$folder/server.key" -out "$folder/ca.pem" 2>/dev/null
exec "$kept/smtp/bin/python" "$(dirname "$0")/smtp_server.py" "$folder" "$1"
