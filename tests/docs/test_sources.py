"""docs/sources.md and the docstrings cite the same sources."""

from __future__ import annotations

import re
from collections import defaultdict

from shell_blocks import ROOT

LIBRARY = ROOT / "lib" / "luckyhit"
PAGE = (ROOT / "docs" / "sources.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (.+) \| (`.+`) \|$", re.M)
CITED = re.compile(
    r"(?:\b(?:van )?[A-Z]\w+(?: Tchetgen)?(?:, | and | et al\. )?)+,? \(?((?:19|20)\d\d)\b|\bRFC (\d{4})\b"
)


def key_of(source: str) -> str:
    """What both places have of a source: the year, or the number of the RFC."""
    rfc, year = re.match(r"RFC (\d+)", source), re.search(r"\((\d{4})\)", source)
    return rfc[1] if rfc else year[1] if year else ""


ROWS = [(source, re.findall(r"`([^`]+)`", modules)) for source, modules in ROW.findall(PAGE)]


def test_each_source_is_cited_by_the_modules_it_names() -> None:
    assert len(ROWS) > 40
    for source, modules in ROWS:
        surname = source.partition(",")[0].removeprefix("van ")
        for module in modules:
            text = (LIBRARY / module).read_text(encoding="utf-8")
            assert key_of(source) in text, f"{module} does not cite {source}"
            assert source.startswith("RFC") or surname in text, f"{module} does not cite {source}"


def test_each_source_that_a_module_cites_is_on_the_page() -> None:
    listed: dict[str, set[str]] = defaultdict(set)
    for source, modules in ROWS:
        for module in modules:
            listed[module].add(key_of(source))
    missing = {}
    for path in sorted(LIBRARY.rglob("*.py")):
        text = " ".join(path.read_text(encoding="utf-8").split())
        cited = {year or rfc for year, rfc in CITED.findall(text)}
        if cited - listed[path.relative_to(LIBRARY).as_posix()]:
            missing[path.relative_to(LIBRARY).as_posix()] = cited
    assert missing == {}
