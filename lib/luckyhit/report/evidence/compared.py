"""Everything that was compared: the fingerprints of both arms, entry by entry, and what changed later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from luckyhit.records import Arm
from luckyhit.report.recorded import ARMS, Recorded
from luckyhit.text.numbers import listed, plural

UNSET = "not set"
OBSERVED = "observed."
MOST_ENTRIES = 1000
Mark = Literal["declared", "differs", "observed", "moved", ""]
MARKS: dict[Mark, str] = {
    "declared": "the declared change",
    "differs": "differs between the arms",
    "observed": "may differ by itself: shown, not compared",
    "moved": "CHANGED LATER",
    "": "",
}
_GROUPS = {
    "package": "installed package",
    "env": "environment variable",
    "config": "configuration value",
    "header": "version header",
    "cache.config": "cache setting",
    "cache": "fact of the cache",
    "git": "fact of Git",
    "file": "file",
    "fact": "declared fact",
    "workload": "fact of the workload",
}


@dataclass(frozen=True)
class FingerprintRow:
    """One entry. `before`, `after`: its value at the first look at that arm, None where the arm was not looked at.
    `later`: what later looks showed, a sentence each."""

    name: str
    before: str | None
    after: str | None
    mark: Mark
    later: tuple[str, ...] = ()

    @property
    def remark(self) -> str:
        return "; ".join([*([MARKS[self.mark]] if self.mark else []), *self.later])


@dataclass(frozen=True)
class FingerprintComparison:
    """All entries, differing ones first. `equal`: how many were equal at every look, of `total` that were compared.
    `groups`: the equal ones by kind, for a sentence."""

    entries: list[FingerprintRow]
    equal: int
    total: int
    groups: str

    @property
    def moved(self) -> list[FingerprintRow]:
        return [entry for entry in self.entries if entry.mark == "moved"]


def compared(recorded: Recorded) -> FingerprintComparison:
    """The fingerprints in the manifest."""
    fingerprints = {arm: recorded.manifest.fingerprints.get(arm) for arm in ARMS}
    later = _later(recorded)
    names = sorted({name for arm in ARMS for name in fingerprints[arm] or ()} | later.keys())
    declared = recorded.case.change.entry if recorded.case else None
    entries = [_entry(name, fingerprints, later.get(name, ()), declared) for name in names]
    equal = [entry for entry in entries if entry.mark == ""]
    order: dict[Mark, int] = {"moved": 0, "declared": 1, "differs": 2, "observed": 3, "": 4}
    return FingerprintComparison(
        entries=sorted(entries, key=lambda entry: order[entry.mark])[:MOST_ENTRIES],
        equal=len(equal),
        total=sum(entry.mark != "observed" for entry in entries),
        groups=_grouped(equal),
    )


def _entry(
    name: str,
    fingerprints: Mapping[Arm, Mapping[str, str] | None],
    later: tuple[str, ...] | list[str],
    declared: str | None,
) -> FingerprintRow:
    values = [None if looks is None else looks.get(name, UNSET) for looks in (fingerprints[arm] for arm in ARMS)]
    mark: Mark = ""
    if name.startswith(OBSERVED):
        mark = "observed"
    elif later:
        mark = "moved"
    elif name == declared:
        mark = "declared"
    elif None not in values and values[0] != values[1]:
        mark = "differs"
    return FingerprintRow(name, values[0], values[1], mark, tuple(later))


def _later(recorded: Recorded) -> dict[str, list[str]]:
    """By entry: how a look at a block differed from the first one."""
    later: dict[str, list[str]] = {}
    for block in recorded.blocks:
        for arm, strays in block.differences.items():
            for name, (first, now) in strays.items():
                text = f"block {block.block}, arm {arm}: {now}, not {first} as at first"
                later.setdefault(name, []).append(text)
    return later


def _grouped(entries: list[FingerprintRow]) -> str:
    """`178 installed packages, 19 cache settings and 7 environment variables`."""
    counts: Counter[str] = Counter()
    for entry in entries:
        group = "cache.config" if entry.name.startswith("cache.config.") else entry.name.partition(".")[0]
        counts[_GROUPS.get(group, "other")] += 1
    other = counts.pop("other", 0)
    parts = [
        plural(count, one, one.replace("fact ", "facts ") if " of " in one else "")
        for one, count in counts.most_common()
    ]
    return listed([*parts, *([f"{other} more"] if other else [])])
