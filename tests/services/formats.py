"""Validates reports: formats.py SCHEMAS FOLDER."""

import json
import pathlib
import sys

SCHEMAS, FOLDER = map(pathlib.Path, sys.argv[1:])


def sarif(text):
    import jsonschema

    schema = json.loads((SCHEMAS / "sarif.json").read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    document = json.loads(text)
    for error in validator.iter_errors(document):
        yield f"{error.json_path}: {error.message[:300]}"
    # What the schema says only in words.
    for run in document["runs"]:
        rules = run["tool"]["driver"]["rules"]
        for result in run["results"]:
            if rules[result["ruleIndex"]]["id"] != result["ruleId"]:
                yield f"the rule of {result['ruleId']} is another"
            if result["kind"] != "fail" and result["level"] != "none":
                yield f"{result['kind']} has the level {result['level']}"


def ocsf(text):
    import importlib.util

    from py_ocsf_models.events.findings.compliance_finding import ComplianceFinding

    published = pathlib.Path(importlib.util.find_spec("ocsf").origin).parent / "schemas/v1_5_0.json"
    schema = json.loads(published.read_text())
    for position, event in enumerate(json.loads(text)):
        try:
            ComplianceFinding.model_validate(event)
        except Exception as error:
            yield f"[{position}]: {error}"
        yield from unknown(schema, "compliance_finding", event, f"[{position}]")


def attributes(schema, name):
    """The attributes of a class or an object, with those that it extends."""
    kind = schema["events"].get(name) or schema["objects"].get(name)
    if kind is None:
        return {}
    own = kind.get("attributes", {})
    return {**attributes(schema, kind["extends"]), **own} if kind.get("extends") not in (None, name) else own


def unknown(schema, name, value, place):
    """What the schema does not know, and what it requires and is not there."""
    known = attributes(schema, name)
    # The profile that events about accounts of a cloud have.
    if name == "compliance_finding":
        known["cloud"] = {"requirement": "optional"}
    for key, inner in value.items():
        if key not in known:
            yield f"{place}: {name} has no attribute {key}"
            continue
        kind = {**schema["dictionary"]["attributes"].get(key, {}), **(known[key] or {})}.get("type")
        if kind in schema["objects"]:
            for item in inner if isinstance(inner, list) else [inner]:
                # `unmapped` and its like may hold anything.
                if kind != "object":
                    yield from unknown(schema, kind, item, f"{place}.{key}")
    for key, attribute in known.items():
        if isinstance(attribute, dict) and attribute.get("requirement") == "required" and key not in value:
            yield f"{place}: {name} needs {key}"


def asff(text):
    import botocore.session
    from botocore.validate import ParamValidator

    service = botocore.session.Session().get_service_model("securityhub")
    shape = service.operation_model("BatchImportFindings").input_shape
    seen = set()
    for position, line in enumerate(text.splitlines()):
        call = json.loads(line)
        report = ParamValidator().validate(call, shape)
        if report.has_errors():
            yield f"line {position + 1}: {report.generate_report()}"
        if not 1 <= len(call["Findings"]) <= 100:
            yield f"line {position + 1}: {len(call['Findings'])} findings"
        for finding in call["Findings"]:
            yield from enums(shape.members["Findings"].member, finding, f"line {position + 1}")
            if finding["Id"] in seen:
                yield f"{finding['Id']} is there twice"
            seen.add(finding["Id"])


def enums(shape, value, place):
    """ParamValidator does not look at the words that a text may be."""
    if shape.type_name == "structure":
        for name, inner in value.items():
            if name in shape.members:
                yield from enums(shape.members[name], inner, f"{place}.{name}")
    elif shape.type_name == "list":
        for item in value:
            yield from enums(shape.member, item, place)
    elif shape.type_name == "string" and getattr(shape, "enum", None) and value not in shape.enum:
        yield f"{place}: {value} is none of {shape.enum}"


def junit(text):
    from lxml import etree

    schema = etree.XMLSchema(etree.parse(str(SCHEMAS / "junit.xsd")))
    document = etree.fromstring(text.encode())
    if not schema.validate(document):
        yield from (str(error) for error in schema.error_log)
    for suite in document:
        counted = {name: int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")}
        cases = suite.findall("testcase")
        found = {
            "tests": len(cases),
            "failures": len(suite.findall("testcase/failure")),
            "errors": len(suite.findall("testcase/error")),
            "skipped": len(suite.findall("testcase/skipped")),
        }
        if counted != found:
            yield f"{suite.get('name')} says {counted} and has {found}"


failed = False
for file in sorted(FOLDER.iterdir()):
    check = {"sarif": sarif, "ocsf": ocsf, "asff": asff, "junit": junit}.get(file.stem)
    if check is None or file.suffix not in (".out", ".more"):
        continue
    problems = list(check(file.read_text()))
    for problem in problems[:20]:
        print(f"{file.name}: {problem}")
    print(f"{file.name}: {'not valid' if problems else 'valid'}")
    failed = failed or bool(problems)
sys.exit(1 if failed else 0)
