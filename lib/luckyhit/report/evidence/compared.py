"""Everything that was compared: the fingerprints of both arms, entry by entry, and what later looks showed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from luckyhit.records import Arm
from luckyhit.report.recorded import ARMS, Recorded
from luckyhit.text.numbers import listed

if TYPE_CHECKING:
    pass

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
    "config": "entry of the service's configuration",
    "header": "header that names a version",
    "cache.config": "setting of the cache",
    "cache": "fact of the cache",
    "git": "fact of Git",
    "file": "file",
    "fact": "declared fact",
    "workload": "fact of the workload",
}
_PLURALS = {"entry of the service's configuration": "entries of the service's configuration"} | {
    f"{one} of {rest}": f"{one}s of {rest}"
    for one, rest in (("setting", "the cache"), ("fact", "the cache"), ("fact", "Git"), ("fact", "the workload"))
} | {"header that names a version": "headers that name versions"}  # fmt: skip


@dataclass(frozen=True)
class FingerprintRow:
    """One thing that can be seen. `before`, `after`: what the first look at that arm showed, None where the arm was not
    looked at; `mark` says what is to be said of it; `later`: what later looks showed, a sentence each."""

    name: str
    before: str | None
    after: str | None
    mark: Mark
    later: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        return "; ".join([*([MARKS[self.mark]] if self.mark else []), *self.later])


@dataclass(frozen=True)
class ComparedFingerprints:
    """All entries, those first that differ. `equal`: how many were seen equal at every look, `of`: how many were
    compared; `groups`: the equal ones by kind, for a sentence."""

    entries: list[FingerprintRow]
    equal: int
    of: int
    groups: str

    @property
    def moved(self) -> list[FingerprintRow]:
        return [entry for entry in self.entries if entry.mark == "moved"]


def compared(recorded: Recorded) -> ComparedFingerprints:
    """The fingerprints that the manifest holds; no entries where it holds none."""
    fingerprints = {arm: recorded.manifest.fingerprints.get(arm) for arm in ARMS}
    later = _later(recorded)
    names = sorted({name for arm in ARMS for name in fingerprints[arm] or ()} | later.keys())
    declared = recorded.case.change.entry if recorded.case else None
    entries = [_entry(name, fingerprints, later.get(name, ()), declared) for name in names]
    equal = [entry for entry in entries if entry.mark == ""]
    order: dict[Mark, int] = {"moved": 0, "declared": 1, "differs": 2, "observed": 3, "": 4}
    return ComparedFingerprints(
        entries=sorted(entries, key=lambda entry: order[entry.mark])[:MOST_ENTRIES],
        equal=len(equal),
        of=sum(entry.mark != "observed" for entry in entries),
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
    """By entry: what a look at a block showed otherwise than the first one."""
    later: dict[str, list[str]] = {}
    for block in recorded.blocks:
        for arm, strays in block.differences.items():
            for name, (first, now) in strays.items():
                text = f"block {block.block}, arm {arm}: {now}, not {first} as at first"
                later.setdefault(name, []).append(text)
    return later


def _grouped(entries: list[FingerprintRow]) -> str:
    """`178 installed packages, 19 settings of the cache and 7 environment variables`."""
    counts: Counter[str] = Counter()
    for entry in entries:
        group = "cache.config" if entry.name.startswith("cache.config.") else entry.name.partition(".")[0]
        counts[_GROUPS.get(group, "other")] += 1
    other = counts.pop("other", 0)
    parts = [f"{count:,} {one if count == 1 else _PLURALS.get(one, f'{one}s')}" for one, count in counts.most_common()]
    return listed([*parts, *([f"{other} more"] if other else [])])
