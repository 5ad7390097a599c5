#!/usr/bin/env bash
# Apache Kafka as one process (KRaft) from Maven Central, with kcat as an independent client.
# kafka.sh FOLDER PLAINTEXT SASL SSL CONTROLLER: four ports. The user for SASL (SCRAM-SHA-256) is `alice` with the
# password `wonder`. KAFKA_DATA: where the logs are kept, so that a broker can be started again with what it had;
# KAFKA_PEM: key and certificate of the TLS listener, which is not there without.
. "$(dirname "$0")/common.sh"
version=3.9.1
plaintext=$1 sasl=$2 ssl=$3 controller=$4
data=${KAFKA_DATA:-$folder/data}
libraries=$kept/kafka-$version

command -v java >/dev/null || need_debian java openjdk-17-jre-headless
need_debian kcat kcat

libraries() {
  [ -e "$libraries/installed" ] && return 0
  mkdir -p "$libraries"
  cat >"$libraries/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tests</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
POM
  (cd "$libraries" && mvn -q -B dependency:copy-dependencies -DoutputDirectory=libs -DincludeScope=runtime) &&
    touch "$libraries/installed"
}
if [ ! -e "$libraries/installed" ]; then
  may_install "Apache Kafka $version"
  command -v mvn >/dev/null || need_debian mvn maven
  one_at_a_time libraries >&2 || cannot "Apache Kafka $version cannot be had from Maven Central"
fi

listeners=PLAINTEXT://127.0.0.1:$plaintext,SASL_PLAINTEXT://127.0.0.1:$sasl
[ -n "${KAFKA_PEM:-}" ] && listeners=$listeners,SSL://127.0.0.1:$ssl
cat >"$folder/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=$listeners,CONTROLLER://127.0.0.1:$controller
advertised.listeners=$listeners
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,SSL:SSL,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-256
listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location=${KAFKA_PEM:-}
log.dirs=$data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
PROPERTIES
[ -n "${KAFKA_PEM:-}" ] || sed -i '/^ssl\./d' "$folder/server.properties"
cat >"$folder/log4j.properties" <<LOG
log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %m (%c)%n
LOG

kafka() {
  exec java -Xms128m -Xmx512m -XX:+UseSerialGC -Dlog4j.configuration="file:$folder/log4j.properties" \
    -cp "$libraries/libs/*" "$@"
}
if [ ! -e "$data/meta.properties" ]; then
  (kafka kafka.tools.StorageTool format -t AAAAAAAAQACAAAAAAAAAAQ -c "$folder/server.properties" \
    --add-scram 'SCRAM-SHA-256=[name=alice,password=wonder]') >>"$folder/log" 2>&1 ||
    { tail -n 30 "$folder/log" >&2; exit 1; }
fi
server kafka kafka.Kafka "$folder/server.properties"
await 90 kcat -b "127.0.0.1:$plaintext" -L -m 2
serve
