# Certificates of servers and clients on loopback, for scripts that have sourced common.sh: FOLDER/ca.pem signs
# server.pem (localhost, 127.0.0.1) and client.pem, each with its .key.
need_debian openssl openssl

signed_certificate() {
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$folder/$1.key" -subj "/CN=$1" \
    -out "$folder/$1.request"
  openssl x509 -req -in "$folder/$1.request" -CA "$folder/ca.pem" -CAkey "$folder/ca.key" -CAcreateserial -days 2 \
    -extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1') -out "$folder/$1.pem"
}

certificates() {
  [ ! -e "$folder/client.pem" ] || return 0
  {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$folder/ca.key" -subj /CN=tests \
      -days 2 -out "$folder/ca.pem"
    signed_certificate server
    signed_certificate client
  } >>"$folder/log" 2>&1
}
