"""What a run did not touch, and whether what it did touch is back as it was: each claim with its evidence.

A claim without evidence is not made: it says that nothing shows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from luckyhit.records import Guard, GuardId, Rollback
from luckyhit.report.evidence.actions import SAFE_METHODS
from luckyhit.report.evidence.cleared_keys import cleared_keys, numbers
from luckyhit.report.evidence.compared import ComparedFingerprints
from luckyhit.report.evidence.journal_view import JournalEvidence
from luckyhit.report.evidence.open_steps import lost
from luckyhit.report.recorded import Recorded
from luckyhit.report.tables import contents
from luckyhit.report.tables.freshness_tables import probed_keys
from luckyhit.report.tables.observed import only
from luckyhit.text.numbers import listed

_MOST_NAMED = 8


ClaimId = Literal["scope", "settings", "everything-else", "fingerprint", "second-before", "journal", "probe"]


@dataclass(frozen=True)
class Claim:
    """`ok`: shown, shown not to be so, or (None) not shown either way. `text` is the evidence."""

    id: ClaimId
    ok: bool | None
    what: str
    text: str

    @property
    def word(self) -> str:
        return {True: "✓ shown", False: "✗ not so", None: "– not shown"}[self.ok]


def untouched(recorded: Recorded, journal: JournalEvidence, fingerprints: ComparedFingerprints) -> list[Claim]:
    """What the run left alone."""
    return list(_untouched(recorded, journal, fingerprints))


def _untouched(recorded: Recorded, journal: JournalEvidence, fingerprints: ComparedFingerprints) -> Iterator[Claim]:
    if clears := journal.named("clear"):
        outside = numbers(clears, "outside")
        many = f"{max(outside):,} at most, in {len(clears)} clears" if any(outside) else "there was none"
        many = many if outside else "not counted"
        all_counted = len(outside) == len(clears) and len(numbers(clears, "named")) == len(clears)
        proof = " ".join(cleared_keys(clears).proof)
        yield Claim("scope", True if all_counted else None, f"Keys outside the declared scope: {many}", proof)
    else:
        text = "The journal holds no clear." if journal.there else "There is no journal, and so no clear."
        yield Claim(
            "scope",
            None if journal.problem or lost(recorded, journal) else True,
            "Keys of the cache: none was cleared",
            text,
        )
    yield _settings(recorded, fingerprints)
    yield _everything_else(recorded, journal)


def _settings(recorded: Recorded, fingerprints: ComparedFingerprints) -> Claim:
    claim = "The service's other settings, its code and its cache's settings"
    if not fingerprints.of:
        return Claim("settings", None, claim, "The run noted no fingerprint, so nothing shows it.")
    guard = _guard(recorded, "declared-difference-only")
    differing = [entry.name for entry in fingerprints.entries if entry.mark in ("moved", "differs")]
    if fingerprints.moved:
        names = listed([entry.name for entry in fingerprints.moved[:_MOST_NAMED]])
        return Claim(
            "settings",
            False,
            claim,
            f"{len(fingerprints.moved)} of {fingerprints.of:,} things changed while it was measured: {names}. "
            "No step of the run was about that.",
        )
    looks = _sentence_with(guard, "looks") if guard is not None else ""
    text = f"{fingerprints.equal:,} things were seen equal at every look: {fingerprints.groups}."
    if differing and guard is not None and not guard.ok:
        return Claim("settings", False, claim, f"{text} {guard.detail}")
    if differing:
        names = listed(differing[:_MOST_NAMED])
        if guard is None:
            return Claim(
                "settings",
                None,
                claim,
                f"{text} These differ between the arms, and nothing judged whether they may: {names}.",
            )
        text += f" Beside the declared change, its own echoes differ between the arms: {names}."
    return Claim("settings", True, claim, f"{text} {looks}".strip())


def _sentence_with(guard: Guard, word: str) -> str:
    sentences = [part.strip(" .") for part in guard.detail.split(". ")]
    return next((f"{part}." for part in sentences if word in part), "")


def _everything_else(recorded: Recorded, journal: JournalEvidence) -> Claim:
    claim = "Everything else of the target"
    if journal.problem:
        return Claim("everything-else", None, claim, f"{journal.problem}")
    if lost(recorded, journal):
        return Claim("everything-else", None, claim, "The run left no journal, so nothing shows it.")
    if not journal.steps:
        text = (
            "The journal is empty: nothing was changed. What the run does to a target is written there before it is "
            "done."
        )
        return Claim("everything-else", True, claim, text)
    kinds = Counter(step.step for step in journal.steps)
    named = listed([f"{count:,} {name}" for name, count in kinds.most_common(_MOST_NAMED)])
    text = (
        "What the run does to a target, beside sending requests, is written in its journal before it is done; nothing "
        f"is done that can't be written there. It holds {len(journal.steps):,} steps ({named}), and no others."
    )
    return Claim("everything-else", True, claim, text)


def as_it_was(recorded: Recorded, journal: JournalEvidence, rollback: Rollback | None) -> list[Claim]:
    """Whether what was touched is back as it was, beside what `rollback` says of the change itself."""
    return list(_as_it_was(recorded, journal, rollback))


def _as_it_was(recorded: Recorded, journal: JournalEvidence, rollback: Rollback | None) -> Iterator[Claim]:
    same = _guard(recorded, "as-it-was-after-the-rollback")
    claim = "The fingerprint after the rollback equals the first"
    if same is not None:
        yield Claim("fingerprint", same.ok, claim, same.detail)
    elif recorded.case is not None and journal.steps and not _observing(recorded):
        yield Claim("fingerprint", None, claim, "The run did not get to that look, so nothing shows it.")
    again = rollback.same_as_before if rollback else None
    texts = {
        True: "As far as the margins of the goals go; the values stand above.",
        False: "Measured again after the rollback, something is not as before: see above.",
        None: "It was not measured once more, or could not be compared.",
    }
    if again is not None or recorded.changed:
        yield Claim("second-before", again, "The second “before” equals the first", texts[again])
    yield _nothing_open(recorded, journal)
    yield from _probed(recorded, journal)


def _observing(recorded: Recorded) -> bool:
    return recorded.manifest.observe or only(recorded.manifest, recorded.result)


def _probed(recorded: Recorded, journal: JournalEvidence) -> Iterator[Claim]:
    claim, keys, steps = "The probe's keys hold what they held", probed_keys(recorded), journal.named("probe")
    if left := [step for step in steps if step.open]:
        text = f"It is not shown for {len(left)} of {len(steps)} blocks in which it wrote: their steps are open."
        yield Claim("probe", False, claim, text)
    elif keys is not None:
        yield Claim("probe", keys.ok, claim, keys.text)
    elif steps:
        yield Claim("probe", True, claim, "; ".join(dict.fromkeys(step.how for step in steps)) + ".")


def _nothing_open(recorded: Recorded, journal: JournalEvidence) -> Claim:
    claim = "Nothing is open in the journal"
    if journal.problem:
        return Claim("journal", False if journal.open else None, claim, journal.problem)
    if not journal.there:
        if lost(recorded, journal):
            return Claim("journal", None, claim, "The run left no journal, so nothing shows what it did.")
        return Claim("journal", True, claim, "The run left no journal: it changed nothing.")
    count = len(journal.steps)
    if journal.open:
        names = listed(sorted({step.step for step in journal.open}))
        return Claim("journal", False, claim, f"{len(journal.open)} of {count} steps are open ({names}).")
    inverse = sum(bool(step.inverse) for step in journal.steps)
    text = f"All {count:,} steps are closed: {inverse:,} undone by their inverse, or certain to have left nothing"
    rest = count - inverse
    return Claim("journal", True, claim, f"{text}; {rest:,} had nothing to undo." if rest else f"{text}.")


def remains(recorded: Recorded, journal: JournalEvidence) -> list[str]:
    """What stays on the target by nature, a sentence each."""
    return list(_remains(recorded, journal))


def _remains(recorded: Recorded, journal: JournalEvidence) -> Iterator[str]:
    case = recorded.case
    if case is None:
        return
    own_service, own_cache = case.target.start is not None, case.cache.url_env is None
    if own_service and own_cache and not journal.open:
        yield "Nothing in its own services and caches: they were started for the run, and ended with it."
    if not own_cache or not own_service:
        yield (
            "What the service itself cached while it answered the run's requests: these entries live as long as the "
            "service lets them."
        )
        yield "Counters of the service and of its cache (requests, hits, misses) and its logs, which count the run too."
    if not own_cache and any(step.closed_as == "ended-well" for step in journal.named("clear")):
        yield "Cleared keys that nobody has read since: the service fills its cache again as they are asked for."
    if any(route.method not in SAFE_METHODS for route in case.workload.routes):
        rest = " Where the service keeps that outside its working directory, it is still there." if own_service else ""
        yield f"What the workload's own writes wrote.{rest}"
    if journal.named("purge"):
        yield "Purged pages of the cache in front are fetched again by their next reader."


def _guard(recorded: Recorded, id: GuardId) -> Guard | None:
    return next((guard for guard in contents.guards(recorded) if guard.id == id), None)
