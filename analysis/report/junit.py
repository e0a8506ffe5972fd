"""The report as JUnit XML: a test case for each threshold in each step, and for each rule of the verdict. CI systems show it without more.

The dialect is the one that CI systems share: ``testsuites`` of ``testsuite`` of ``testcase``, with ``failure`` or ``error`` inside.
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

from analysis.report.wording import printable, threshold_figure

Row = dict[str, Any]


def render(report: Row) -> str:
    """One suite named by the run's id. A broken INVALID rule or threshold fails; a threshold without enough data is an error; a broken
    WARN or WITHHELD rule is told in the case's output, for the run is believed in spite of it. XML 1.0 has no control characters:
    they come out as escapes.
    """
    run = report["run"]
    suites = ET.Element("testsuites")
    suite = ET.SubElement(suites, "testsuite", name=printable(run["run_id"]))
    if run["created"]:
        suite.set("timestamp", printable(run["created"]))
    properties = ET.SubElement(suite, "properties")
    for name, value in (("scenario", run["name"]), ("verdict", report["verdict"]["verdict"])):
        ET.SubElement(properties, "property", name=name, value=printable(value))
    labels = {s["step_id"]: s["label"] for s in report["steps"]}
    for threshold in report["thresholds"]:
        _threshold(suite, threshold, labels, report["run"]["aborted"])
    for rule in report["verdict"]["rules"]:
        _rule(suite, rule, labels)
    suite.set("tests", str(len(suite.findall("testcase"))))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("errors", str(len(suite.findall("testcase/error"))))
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=False) + "\n"


def _case(suite: ET.Element, kind: str, name: str, where: str | None) -> ET.Element:
    told = f"{name} in {where}" if where else name
    return ET.SubElement(suite, "testcase", classname=f"openloop.{kind}", name=printable(told))


def _fail(case: ET.Element, kind: str, message: str, advice: str, how: str = "failure") -> None:
    failure = ET.SubElement(case, how, type=kind, message=printable(message))
    failure.text = printable(f"{message}. {advice}")


def _threshold(suite: ET.Element, found: Row, labels: dict[int, str], stop: Row | None) -> None:
    case = _case(suite, "threshold", found["rule"], labels.get(found["step_id"], found["step"]))
    if found["aborted"] and stop is not None:
        _fail(case, "threshold", f"stopped the run {stop['step_s']:.1f} s into the step", f"{stop['told']}.")
    elif found["holds"]:
        return
    elif found["withheld"]:
        # An error in this dialect: the case could not be judged. A build is red for it, as for a failure.
        _fail(case, "not enough data", threshold_figure(found), f"Wanted: {found['rule']}", "error")
    else:
        advice = "The step has no such figure." if found["figure"] is None else f"Wanted: {found['rule']}"
        _fail(case, "threshold", threshold_figure(found), advice)


def _rule(suite: ET.Element, rule: Row, labels: dict[int, str]) -> None:
    where = None if rule["step_id"] is None else labels.get(rule["step_id"], f"step {rule['step_id']}")
    case = _case(suite, "verdict", rule["name"], where)
    message = f"{rule['figure']}; limit {rule['limit']}"
    if rule["broken"] and rule["level"] == "INVALID":
        _fail(case, rule["level"], message, rule["advice"])
    elif rule["broken"]:
        ET.SubElement(case, "system-out").text = printable(f"{rule['level']}: {message}. {rule['advice']}")
