"""How a run ended, as JUnit XML: for CI systems that show test results.

One test case for each goal and each guard, and one for the run itself. A goal that got worse, a broken limit and a
failed guard are failures; an undecided goal is skipped, with the reason; goals of an INVALID run, and a run that ended
early, are errors. The file follows both schemas in use: Ant's (windyroad/JUnit-Schema) and Jenkins' (junit-10.xsd).
"""

from __future__ import annotations

from xml.etree import ElementTree

from luckyhit.records import GoalName, Guard, Metric, Result
from luckyhit.report.run_outcome import RunOutcome
from luckyhit.report.tables.metric_rows import in_order, metric_row
from luckyhit.text.messages import guard_title
from luckyhit.text.wording import text_of

_UNKNOWN_TIME = "1970-01-01T00:00:00"
_Outcome = tuple[str, str, str]
"""Kind of the element (failure, error, skipped; empty: passed), message, text."""


def junit(outcome: RunOutcome) -> str:
    """The XML, as text. Texts are scrubbed, and control characters made visible, so that nothing can break it."""
    suite = _Suite(outcome)
    suite.add("run", "the run got to its end", _ended(outcome))
    if outcome.unreported:
        suite.add("run", "its report was written", ("error", outcome.unreported, ""))
    result = outcome.result
    if result is not None:
        for name in in_order(result):
            if result.metrics[name].want is not None:
                suite.add("goal", name, _goal(name, result.metrics[name], result))
        for guard in result.guards:
            suite.add("guard", guard_title(guard.id), _guard(guard))
    return suite.text()


def _ended(outcome: RunOutcome) -> _Outcome:
    if outcome.incomplete or outcome.result is None:
        return "error", outcome.incomplete or "there is no result", outcome.hint
    return "", "", ""


def _goal(name: GoalName, metric: Metric, result: Result) -> _Outcome:
    row = metric_row(name, metric, result)
    numbers = f"before {row.before}, after {row.after}; difference {row.effect}, interval {row.interval}; {row.goal}"
    if result.verdict == "INVALID":
        return "error", f"not reliable: {result.reason}", numbers
    if result.verdict == "OBSERVED":
        return "skipped", f"OBSERVED: {result.reason}", numbers
    if metric.verdict == "HURT":
        return "failure", f"HURT: {row.effect} ({row.goal})", f"{numbers}. {text_of(metric.notes)}"
    if metric.limit == "broken":
        return "failure", f"goal not met: {text_of(metric.notes)}", numbers
    if metric.verdict == "INCONCLUSIVE":
        return "skipped", f"INCONCLUSIVE: {text_of(metric.notes) or result.reason}", numbers
    return "", "", ""


def _guard(guard: Guard) -> _Outcome:
    return ("", "", "") if guard.ok else ("failure", guard.detail, guard.remedy)


class _Suite:
    def __init__(self, outcome: RunOutcome) -> None:
        self._outcome = outcome
        self._root = ElementTree.Element("testsuites")
        self._suite = ElementTree.SubElement(self._root, "testsuite")
        self._counts = {"tests": 0, "failure": 0, "error": 0, "skipped": 0}
        properties = ElementTree.SubElement(self._suite, "properties")
        for name, value in {"verdict": outcome.verdict, "run": outcome.run, "report": outcome.report}.items():
            if value:
                ElementTree.SubElement(properties, "property", name=name, value=self._line(value))

    def add(self, kind: str, name: str, outcome: _Outcome) -> None:
        """One test case: `classname` groups them by case and kind."""
        element, message, text = outcome
        class_name = self._line(f"luckyhit.{self._outcome.case}.{kind}")
        case = ElementTree.SubElement(self._suite, "testcase", classname=class_name, name=self._line(name), time="0")
        self._counts["tests"] += 1
        if element:
            self._counts[element] += 1
            child = ElementTree.SubElement(case, element, type=element, message=self._line(message))
            child.text = self._line(text)

    def text(self) -> str:
        outcome = self._outcome
        self._suite.attrib |= {
            "name": self._line(f"luckyhit.{outcome.case}"),
            "package": "luckyhit",
            "id": "0",
            "timestamp": outcome.started or _UNKNOWN_TIME,
            "hostname": "localhost",  # the machine's name is nobody's business
            "tests": str(self._counts["tests"]),
            "failures": str(self._counts["failure"]),
            "errors": str(self._counts["error"]),
            "skipped": str(self._counts["skipped"]),
            "time": f"{outcome.seconds:.3f}",
        }
        line = f"{outcome.verdict}: {outcome.reason}" + (f" Report: {outcome.report}" if outcome.report else "")
        ElementTree.SubElement(self._suite, "system-out").text = self._line(line)
        ElementTree.SubElement(self._suite, "system-err").text = self._line(outcome.hint)
        ElementTree.indent(self._root)
        return f"<?xml version='1.0' encoding='utf-8'?>\n{ElementTree.tostring(self._root, encoding='unicode')}\n"

    def _line(self, text: str) -> str:
        """One line, scrubbed: attributes of the schemas are tokens, without white space at their ends or in rows."""
        return " ".join(self._outcome.clean(text).split())
