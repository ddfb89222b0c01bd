"""The case of `luckyhit new` with all its numbers written out, to be changed bit by bit."""

from __future__ import annotations

from luckyhit.case.docs.template import new_case

PLAN = """\
plan:
  baseline: 10s
  warmup: 2s
  block: 7s
  blocks: 4
  after_rollback: 5s
"""
RATE = "  rate: 5/s  # probes\n"


def numbered_case(name: str) -> str:
    lines = new_case(name).splitlines(keepends=True)
    kept = [RATE if line.startswith("  # rate: ") else line for line in lines if not line.startswith("# plan: ")]
    assert RATE in kept and kept[-1] == "plan: auto\n"
    return "".join([*kept[:-1], PLAN])
