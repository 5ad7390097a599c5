#!/usr/bin/env bash
# Prometheus with a rule that fires at once for two instances, and Alertmanager, which notifies a webhook of it and asks
# again every second where nobody answers. Ports: Prometheus, Alertmanager, the webhook (which others listen on).
. "$(dirname "$0")/common.sh"
need_debian prometheus prometheus
need_debian prometheus-alertmanager prometheus-alertmanager
prometheus=$1 alertmanager=$2 webhook=$3

cat >"$folder/rules.yml" <<YAML
groups:
  - name: tests
    rules:
      - alert: AlwaysFiring
        expr: label_replace(vector(1), "instance", "web-1:9100", "", "") or label_replace(vector(2), "instance", "web-2:9100", "", "")
        labels: {severity: page}
        annotations: {summary: "{{ \$labels.instance }} fires"}
YAML
cat >"$folder/prometheus.yml" <<YAML
global: {evaluation_interval: 1s, scrape_interval: 1s}
rule_files: [rules.yml]
alerting:
  alertmanagers:
    - static_configs: [{targets: ["127.0.0.1:$alertmanager"]}]
YAML
cat >"$folder/alertmanager.yml" <<YAML
route: {receiver: tidegate, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers:
  - name: tidegate
    webhook_configs: [{url: "http://127.0.0.1:$webhook/alerts", send_resolved: false}]
YAML

server prometheus-alertmanager --config.file="$folder/alertmanager.yml" --storage.path="$folder/alertmanager" \
  --web.listen-address="127.0.0.1:$alertmanager" --cluster.listen-address=
server prometheus --config.file="$folder/prometheus.yml" --storage.tsdb.path="$folder/prometheus" \
  --web.listen-address="127.0.0.1:$prometheus" --rules.alert.resend-delay=1s
await 60 listens "$alertmanager"
await 60 listens "$prometheus"
serve
