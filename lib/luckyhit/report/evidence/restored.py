"""What a run did not touch, and whether what it did touch is as it was: each claim with its evidence.

A claim without evidence is marked as not shown.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from luckyhit.records import Guard, GuardId, Rollback
from luckyhit.report.evidence.actions import SAFE_METHODS
from luckyhit.report.evidence.cleared_keys import cleared_keys, numbers
from luckyhit.report.evidence.compared import FingerprintComparison
from luckyhit.report.evidence.journal_view import JournalEvidence, journal_lost
from luckyhit.report.recorded import Recorded
from luckyhit.report.tables import contents
from luckyhit.report.tables.freshness_tables import probed_keys
from luckyhit.report.tables.observed import only
from luckyhit.text.numbers import listed

_MOST_NAMED = 8
ClaimId = Literal["scope", "settings", "everything-else", "fingerprint", "second-before", "journal", "probe"]


@dataclass(frozen=True)
class Claim:
    """`ok`: shown, shown to be false, or (None) not shown either way. `evidence`: why."""

    id: ClaimId
    ok: bool | None
    statement: str
    evidence: str

    @property
    def word(self) -> str:
        return {True: "✓ shown", False: "✗ not so", None: "– not shown"}[self.ok]


def untouched_claims(recorded: Recorded, journal: JournalEvidence, fingerprints: FingerprintComparison) -> list[Claim]:
    """What the run left alone."""
    return [_scope(recorded, journal), _settings(recorded, fingerprints), _everything_else(recorded, journal)]


def _scope(recorded: Recorded, journal: JournalEvidence) -> Claim:
    clears = journal.named("clear")
    if not clears:
        text = "The journal holds no clear." if journal.exists else "There is no journal, and so no clear."
        unknown = journal.problem or journal_lost(recorded, journal)
        return Claim("scope", None if unknown else True, "Keys of the cache: none was cleared", text)
    outside, named = numbers(clears, "outside"), numbers(clears, "named")
    many = f"{max(outside):,} at most, in {len(clears)} clears" if any(outside) else "there was none"
    all_counted = len(outside) == len(named) == len(clears)
    statement = f"Keys outside the declared scope: {many if outside else 'not counted'}"
    return Claim("scope", True if all_counted else None, statement, " ".join(cleared_keys(clears).proof))


def _settings(recorded: Recorded, fingerprints: FingerprintComparison) -> Claim:
    guard = _guard(recorded, "declared-difference-only")
    differing = [entry.name for entry in fingerprints.entries if entry.mark in ("moved", "differs")]
    moved = [entry.name for entry in fingerprints.moved]
    text = f"{fingerprints.equal:,} things were equal each time they were looked at: {fingerprints.groups}."
    ok: bool | None = True
    if not fingerprints.total:
        ok, text = None, "The run noted no fingerprint, so nothing shows it."
    elif moved:
        ok = False
        text = (
            f"{len(moved)} of {fingerprints.total:,} things changed during the measurement: "
            f"{listed(moved[:_MOST_NAMED])}. No step of the run did that."
        )
    elif differing and guard is None:
        ok = None
        text += (
            f" Between the arms these differ, and no guard judged whether they may: {listed(differing[:_MOST_NAMED])}."
        )
    elif differing and guard is not None and not guard.ok:
        ok, text = False, f"{text} {guard.detail}"
    elif differing:
        text += (
            f" Beside the declared change, its own effects differ between the arms: {listed(differing[:_MOST_NAMED])}."
        )
    return Claim("settings", ok, "The service's other settings, its code and its cache's settings", text)


def _everything_else(recorded: Recorded, journal: JournalEvidence) -> Claim:
    ok: bool | None = True
    if journal.problem:
        ok, text = None, journal.problem
    elif journal_lost(recorded, journal):
        ok, text = None, "The run left no journal, so nothing shows it."
    elif not journal.steps:
        text = "The journal is empty: nothing was changed. Each step is written there before it is taken."
    else:
        kinds = Counter(step.step for step in journal.steps)
        named = listed([f"{count:,} {name}" for name, count in kinds.most_common(_MOST_NAMED)])
        text = (
            "Apart from sending requests, everything that the run does to a target is journalled first. The journal "
            f"holds {len(journal.steps):,} steps ({named}), and no others."
        )
    return Claim("everything-else", ok, "Everything else of the target", text)


def restored_claims(recorded: Recorded, journal: JournalEvidence, rollback: Rollback | None) -> list[Claim]:
    """Whether what was touched is as it was, beside what `rollback` says of the change itself."""
    claims = []
    same = _guard(recorded, "as-it-was-after-the-rollback")
    statement = "The fingerprint after the rollback equals the first"
    observing = recorded.manifest.observe or only(recorded.manifest, recorded.result)
    if same is not None:
        claims.append(Claim("fingerprint", same.ok, statement, same.detail))
    elif recorded.case is not None and journal.steps and not observing:
        claims.append(Claim("fingerprint", None, statement, "The run ended before that look, so nothing shows it."))
    again = rollback.same_as_before if rollback else None
    texts = {
        True: "Within the margins of the goals; the values are above.",
        False: "Measured again after the rollback, something is not as before: see above.",
        None: "It was not measured again, or could not be compared.",
    }
    if again is not None or recorded.changed:
        claims.append(Claim("second-before", again, "The second “before” equals the first", texts[again]))
    claims.append(_nothing_open(recorded, journal))
    claims += _probed(recorded, journal)
    return claims


def _probed(recorded: Recorded, journal: JournalEvidence) -> list[Claim]:
    statement, keys, steps = "The probe's keys hold what they held", probed_keys(recorded), journal.named("probe")
    if left := [step for step in steps if step.open]:
        text = f"Not shown for {len(left)} of the {len(steps)} blocks in which it wrote: their steps are open."
        return [Claim("probe", False, statement, text)]
    if keys is not None:
        return [Claim("probe", keys.ok, statement, keys.text)]
    return (
        [Claim("probe", True, statement, "; ".join(dict.fromkeys(step.how for step in steps)) + ".")] if steps else []
    )


def _nothing_open(recorded: Recorded, journal: JournalEvidence) -> Claim:
    ok: bool | None = True
    if journal.problem:
        ok, text = False if journal.open else None, journal.problem
    elif journal_lost(recorded, journal):
        ok, text = None, "The run left no journal, so nothing shows what it did."
    elif not journal.exists:
        text = "The run left no journal: it changed nothing."
    elif journal.open:
        ok, text = False, f"{journal.open_text}."
    else:
        text = journal.closed_text
    return Claim("journal", ok, "Nothing is open in the journal", text)


def remains(recorded: Recorded, journal: JournalEvidence) -> list[str]:
    """What stays on the target by nature, a sentence each."""
    case, texts = recorded.case, []
    if case is None:
        return []
    own_service, own_cache = case.target.start is not None, case.cache.url_env is None
    if own_service and own_cache and not journal.open:
        texts.append("Nothing in its own services and caches: they were started for the run, and ended with it.")
    if not own_cache or not own_service:
        texts.append("What the service cached to answer the run's requests, for as long as it keeps such entries.")
        texts.append("Counters (requests, hits, misses) and logs of the service and its cache, which include the run.")
    if not own_cache and any(step.closed_as == "ended-well" for step in journal.named("clear")):
        texts.append("Cleared keys that nobody has read since: the service caches them again when they are asked for.")
    if any(route.method not in SAFE_METHODS for route in case.workload.routes):
        rest = " What the service keeps outside its working directory is still there." if own_service else ""
        texts.append(f"What the workload's own writes wrote.{rest}")
    if journal.named("purge"):
        texts.append("Purged pages of the cache in front: their next reader fetches them again.")
    return texts


def _guard(recorded: Recorded, id: GuardId) -> Guard | None:
    return next((guard for guard in contents.guards(recorded) if guard.id == id), None)
