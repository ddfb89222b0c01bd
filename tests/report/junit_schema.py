"""The rules of the two JUnit schemas in use, as far as a file of ours can break them: Ant's (windyroad/JUnit-Schema,
stricter in its order and in what has to be there) and Jenkins' (junit-10.xsd, stricter in its attributes)."""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

ATTRIBUTES = {
    "testsuites": (set(), set()),
    "testsuite": (
        {"name", "package", "id", "timestamp", "hostname", "tests", "failures", "errors", "time"},
        {"skipped"},
    ),
    "properties": (set(), set()),
    "property": ({"name", "value"}, set()),
    "testcase": ({"name", "classname", "time"}, set()),
    "failure": ({"type"}, {"message"}),
    "error": ({"type"}, {"message"}),
    "skipped": (set(), {"type", "message"}),
    "system-out": (set(), set()),
    "system-err": (set(), set()),
}
"""(needed, allowed besides), by element."""
CHILDREN = {
    "testsuites": r"(testsuite )*",
    "testsuite": r"properties (testcase )*system-out system-err ",
    "properties": r"(property )*",
    "testcase": r"(skipped |error |failure )?",
}
"""The order of children, as a pattern of their names; none elsewhere."""


def checked(text: str) -> Element:
    """The `testsuite`, once everything in the file is as the schemas want it."""
    root = ElementTree.fromstring(text.encode())
    assert root.tag == "testsuites" and len(root) == 1
    for element in root.iter():
        needed, allowed = ATTRIBUTES[element.tag]
        assert needed <= set(element.attrib) <= needed | allowed, element.attrib
        order = "".join(f"{child.tag} " for child in element)
        assert re.fullmatch(CHILDREN.get(element.tag, ""), order), (element.tag, order)
        for name in ("name", "classname", "package", "hostname"):
            token = element.get(name)
            assert token is None or (token and token == " ".join(token.split())), (element.tag, name, token)
    (suite,) = root
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
    assert re.fullmatch(r"\d+(\.\d*)?", suite.attrib["time"])
    for name, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.attrib[name]) == len(list(suite.iter(tag)))
    return suite


def outcomes(suite: Element, kind: str) -> dict[str, str]:
    """Of the test cases of one kind, by name: passed, or the element that says otherwise."""
    return {
        case.attrib["name"]: case[0].tag if len(case) else "passed"
        for case in suite.iter("testcase")
        if case.attrib["classname"].endswith(f".{kind}")
    }
