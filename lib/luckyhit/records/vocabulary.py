"""The ids that files, code and reports share: arms, stages, statuses, errors, verdicts, guards, notes."""

from __future__ import annotations

import re
from typing import Any, Literal, get_args

SCHEMA_VERSION = 1

Arm = Literal["before", "after"]
Phase = Literal["warmup", "measure"]
CacheStatus = Literal["hit", "miss", "stale", "bypass", "unknown"]
CACHE_STATUSES: tuple[CacheStatus, ...] = get_args(CacheStatus)
RequestError = Literal["connect", "timeout", "reset", "protocol", "dropped", "unexpected"]
Verdict = Literal["HELPED", "HURT", "EQUIVALENT", "INCONCLUSIVE", "INVALID", "OBSERVED"]
"""`OBSERVED`: only a baseline was taken, so there is nothing to compare."""
Limit = Literal["kept", "broken", "open"]
"""State of a hard limit on the after arm: shown to be kept, shown to be broken, or neither."""
OldDataLooked = Literal["declared", "undeclared", "not-looked-at"]
"""Whether a run measured old data: with a goal, without one, or not at all."""

# Blocks are numbered through the whole run: the baseline, those of the change, the one after the rollback. The manifest
# has the stage of each.
Stage = Literal["baseline", "wash-out", "change", "after-rollback"]

GuardId = Literal[
    "accounting-exact",
    "answers-as-expected",
    "arms-exposed-to-the-same-slots",
    "arms-warmed-up-alike",
    "as-it-was-after-the-rollback",
    "blocks-as-noted",
    "cache-clear-names-what-is-stored",
    "cache-clear-names-what-the-change-stores",
    "cache-header",
    "cache-password",
    "cache-reachable",
    "cache-rights",
    "case-as-it-was-run",
    "change",
    "clock-monotonic",
    "clocks-of-the-hosts-agree",
    "declared-difference-only",
    "directories",
    "dropped-share-small",
    "engine-trustworthy",
    "enough-distinct-keys",
    "expected-response",
    "freshness-probe",
    "goals-decidable",
    "goals-undecidable",
    "guards-readable",
    "hit-ratio-stationary-after-warm-up",
    "inputs-validated",
    "keys-outside-cache-clear",
    "negative-controls-still",
    "no-carry-over",
    "no-other-run",
    "old-data",
    "permissions-checked",
    "preflight-met-fault",
    "probe-variants",
    "purges",
    "rates",
    "records-readable",
    "rolled-back",
    "same-as-before",
    "same-cache-state-at-block-start",
    "sample-size-sane",
    "scope-of-the-clear",
    "stacks-alike-before-the-change",
    "target-reachable",
    "the-probes-records-are-whole",
    "the-probes-writes-are-seen",
    "washed-out",
    "what-is-allowed",
    "within-the-targets-limits",
]
"""The guards. `luckyhit.text.messages.guard_title` gives the title."""
GUARD_IDS: tuple[GuardId, ...] = get_args(GuardId)


def id_of_title(noted: Any) -> Any:
    """The id of a guard that an earlier version recorded by its title. Ids are returned unchanged."""
    return re.sub(r"[^a-z0-9]+", "-", noted.replace("'", "").lower()).strip("-") if isinstance(noted, str) else noted


NoteId = Literal[
    "run-ended-early",
    "no-manifest",
    "blocks-left-out",
    "blocks-stopped-early",
    "probe-problem",
    "probe-problems-more",
    "washout-moved-in-baseline",
    "washout-moved-after-rollback",
    "one-process-start",
    "arms-one-after-the-other",
    "arms-took-turns",
    "latency-parts",
    "latency-paired-away",
    "latencies-leave-out",
    "intervals-of-a-fixed-sample",
    "intervals-at-any-moment",
    "intervals-at-all-looks",
    "blocks-after-the-other-arm",
    "trend-over-blocks",
    "trend-over-mirrored-blocks",
    "order-of-blocks",
    "order-not-drawn",
    "order-first-warms",
    "order-first-holds-up",
    "order-is-even",
    "order-is-uneven",
    "route-against-the-whole",
    "routes-part",
    "routes-more",
    "event",
    "events-more",
    "not-visible-no-probe",
    "not-visible-no-request",
    "not-visible-no-late-read",
    "not-visible-no-read",
    "not-visible-no-window",
    "not-visible-status",
    "status-by-calls",
    "change-not-measured",
    "seen-on",
    "seen-on-by-arm",
    "no-stale-read",
    "pairs-by-source",
    "values-nobody-wrote",
    "none-after",
    "windows-open",
    "starts-vary",
    "one-start-too-few",
    "starts-too-few",
    "too-few-requests",
    "no-bounds",
    "margin-not-comparable",
    "accepted-cost",
    "no-worse-is-all",
    "limit-not-comparable",
    "limit-broken",
    "limit-open",
    "pairs-unknown",
    "pairs-too-many",
    "pairs-needed",
    "starts-unknown",
    "starts-needed",
]
"""The notes (see `luckyhit.records.Note`). `luckyhit.text.messages.NOTES` has the wording."""
NOTE_IDS: tuple[NoteId, ...] = get_args(NoteId)
NOT_VISIBLE: frozenset[NoteId] = frozenset(
    {
        "not-visible-no-probe",
        "not-visible-no-request",
        "not-visible-no-late-read",
        "not-visible-no-read",
        "not-visible-no-window",
        "not-visible-status",
    }
)
"""Notes that say why a metric is not visible."""

ActionId = Literal["start", "apply", "clear", "notify", "purge", "worktree", "probe"]
"""What a journalled step does to a target."""
ACTION_IDS: tuple[ActionId, ...] = get_args(ActionId)
StepOutcome = Literal[
    "put-back", "put-back-by-the-probe", "was-back", "left-to-others", "ended-well", "gone", "nothing-done"
]
"""How a journalled step was closed: restored, restored by the probe; already restored; changed by others meanwhile and
left alone; nothing to undo; gone with its target; never done."""
STEP_OUTCOMES: tuple[StepOutcome, ...] = get_args(StepOutcome)
_OUTCOME_OF_WORDS: dict[str, StepOutcome] = {
    "the run ended well": "ended-well",
    "somebody changed": "left-to-others",
    "by the probe itself": "put-back-by-the-probe",
}


def outcome_of_words(how: str) -> StepOutcome | None:
    """The outcome in a journal of an earlier version, which recorded it in words only."""
    return next((outcome for words, outcome in _OUTCOME_OF_WORDS.items() if words in how), None)
