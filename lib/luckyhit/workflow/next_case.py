"""The case that would prove the fix of a shown class: the same one, with the setting that the class names changed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from luckyhit.case.load import parse_case
from luckyhit.errors import CaseError
from luckyhit.records.diagnosis import Diagnosis

NEXT_CASE = "next.yml"
_LONGER = 10
"""An entry that is dead before it is stored gets so many times its life."""
_TOP_LEVEL = re.compile(r"^(?=[A-Za-z_]+:)", re.MULTILINE)


def next_case(text: str, diagnosis: Diagnosis) -> str | None:
    """The case as text, with comments kept and another change; None where the classes that are shown name no setting
    which the case starts the service with, or where such a case would not be valid."""
    change = _change(diagnosis)
    if change is None:
        return None
    parts = _TOP_LEVEL.split(text)
    block = yaml.safe_dump({"change": change}, allow_unicode=True, sort_keys=False, width=120)
    changed = "".join(block if part.startswith("change:") else part for part in parts)
    try:
        parse_case(changed)
    except CaseError:
        return None
    return changed


def _change(diagnosis: Diagnosis) -> Mapping[str, Any] | None:
    """A time to live that is what it should be: as long as readers accept old data, or longer than a load."""
    life = next((one for one in diagnosis.experiments if one.id == "entry-lifetime"), None)
    shown = set(diagnosis.having("shown"))
    if life is None or "setting" not in life.facts or not shown & {"ttl-wrong", "ttl-shorter-than-load"}:
        return None
    name, now_s, declared_s = str(life.facts["setting"]), life.facts["setting_s"], life.facts["declared_s"]
    unit = 1000 if name.endswith("_MS") else 1
    before = float(now_s or 0) * unit
    after = before * _LONGER if "ttl-shorter-than-load" in shown else float(declared_s or 0) * unit
    if after == before or after <= 0:
        return None
    return {
        "kind": "env",
        "what": f"The time to live is {after:g} instead of {before:g} ({name})",
        "name": name,
        "before": f"{before:g}",
        "after": f"{after:g}",
        "smallest": "One variable, no code.",
    }
