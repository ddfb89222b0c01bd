"""`luckyhit check`: everything that can be checked before a run without changing anything.

A case file that contains the value of a secret is refused: it is committed, and copied into each run.
"""

from __future__ import annotations

import os
import re
import tempfile
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from luckyhit import change as changing
from luckyhit.caches import Capability
from luckyhit.case import Case, load_case
from luckyhit.case.values.variables import known_secrets, noted_variables, refuse_quoted, refuse_unset
from luckyhit.change.clearing.coverage import NewKeys
from luckyhit.change.permissions import Findings, free_guard, target_guard
from luckyhit.change.permissions.permission_checks import check_directories, check_permissions, room_for
from luckyhit.errors import ArgumentError, CacheUnreachable, LuckyHitError
from luckyhit.judge.stale.old_data import looked_for
from luckyhit.load.inputs import Inputs, gather
from luckyhit.load.signals import headers_source, later_columns, offered, offered_calls, signals_of
from luckyhit.project import Project
from luckyhit.records import METRICS, GoalName, Guard, GuardId
from luckyhit.scrub.redactor import Redactor
from luckyhit.system import Stack
from luckyhit.system.control import authorities
from luckyhit.text.json_values import leaves
from luckyhit.text.messages import guard_title
from luckyhit.text.numbers import listed
from luckyhit.workflow.planning import lines_of, planning_of
from luckyhit.workflow.preflight import (
    any_hit,
    expected_response,
    originals_of,
    read_routes,
    secret_headers,
    unlike_defaults,
)
from luckyhit.workflow.rates import rates_guard
from luckyhit.workflow.stored_keys import Stored

_WIDTH = 100
_LEAST_TEXT = 40
_MOST_OFFERED = 3
_OPEN_TO_OTHERS = (
    "None: the service gets only host and port, so that any user of this machine can access the run's own cache. "
    "With {cache_url} or {cache_password} in target.start the cache has a random password."
)
_NOTES: frozenset[GuardId] = frozenset(
    {
        "preflight-met-fault",
        "goals-undecidable",
        "old-data",
        "keys-outside-cache-clear",
        "cache-password",
        "probe-variants",
        "rates",
    }
)
"""Notes that are not faults of the case."""
_KEPT_SPACE = "\x00"


def check_case(
    project: Project,
    case_file: Path,
    *,
    environ: Mapping[str, str] = os.environ,
    doing: Callable[[str], None] = lambda activity: None,
) -> list[Guard]:
    """The guards that a run would check first. `doing` is called with each activity that may take a while.

    Raises CaseError for an invalid case, ArgumentError for unset variables (all at once) or an unreadable input. A
    problem of the target is a failed guard, not an exception; the remaining checks are made all the same.
    """
    case = load_case(case_file)
    refuse_unset(case, environ)
    refuse_quoted(case_file, case, environ)
    case = load_case(case_file, variables=noted_variables(case, environ))
    headers = secret_headers(case, environ)
    doing("reading the inputs of the workload")
    with tempfile.TemporaryDirectory(prefix="luckyhit-inputs-") as folder:
        notes = gather(case.workload, project.root, Path(folder))
        inputs = Inputs.load(Path(folder), len(case.workload.routes))
    authorities(case.target, project.root)
    if unfilled := _unfilled(case.model_dump()):
        notes = [f"{unfilled} texts still say TODO; they will be in the report.", *notes]
    guards = [
        Guard(id="inputs-validated", ok=True, detail=" ".join([f"{case_file.name} is valid.", *notes])),
    ]
    guards += _old_data(case)
    if (rates := rates_guard(case)) is not None:
        guards.append(rates)
    declared = [target_guard(case, project.called(case_file)), free_guard(case, project.runs, environ)]
    guards += [guard for guard in declared if guard is not None]
    places = [_existing(project.runs), _existing(project.reports)]
    with tempfile.TemporaryDirectory(prefix="luckyhit-check-") as folder:
        stack = Stack(case, "check", Path(folder, "work"), project=project.root, environ=environ)
        stack.settings = changing.settings_of(stack, "before")
        doing("starting the service with a cache of its own" if stack.owned else f"asking {case.target.url}")
        try:
            with stack:
                guards += _of_running(case, stack, places, environ, headers, inputs, doing)
        except ArgumentError:
            raise
        except LuckyHitError as error:
            id: GuardId = "cache-reachable" if isinstance(error, CacheUnreachable) else "target-reachable"
            findings = Findings("directories")
            check_directories(places, room_for(case), findings)
            guards += [_failed(id, error), findings.guard()]
    passwords = stack.cache.secrets if stack.cache is not None else []
    redact = Redactor({*known_secrets(case, environ), *passwords}).secrets
    return [
        guard.model_copy(update={"detail": redact(guard.detail), "remedy": redact(guard.remedy)}) for guard in guards
    ]


def _old_data(case: Case) -> Iterator[Guard]:
    """A change that stores more, or for longer, may serve old data, which no other metric shows."""
    details = {
        "not-looked-at": "Old data is not checked. To check it, add a `freshness` section and a goal on `stale_reads`.",
        "undeclared": "Old data is measured without a goal. To decide on it, add a goal on `stale_reads`.",
    }
    if (looked := looked_for(case)) in details:
        yield Guard(id="old-data", ok=True, detail=details[looked])


def _of_running(
    case: Case,
    stack: Stack,
    places: Sequence[Path],
    environ: Mapping[str, str],
    headers: Mapping[str, str],
    inputs: Inputs,
    doing: Callable[[str], None],
) -> Iterator[Guard]:
    """The guards that need the target."""
    yield Guard(id="target-reachable", ok=True, detail=f"{stack.base_url} {'is ready' if stack.owned else 'answers'}.")
    cache = stack.cache
    if cache is not None and cache.owned and not cache.secrets and Capability.PASSWORD in cache.can:
        yield Guard(id="cache-password", ok=True, detail=_OPEN_TO_OTHERS)
    doing("looking at permissions")
    yield from check_permissions(case, stack, places, environ)
    doing("asking each route once")
    answered: list[list[tuple[bytes, bytes]]] = []
    stored = Stored.looking(case, stack, clears=stack.owned or case.target.allow_change)
    yield from _answers(case, stack, headers, inputs, answered.append)
    if answered and stored is not None:
        yield _guarded(
            "cache-clear-names-what-is-stored",
            lambda: _covered(stored, lambda: any_hit(case, stack, headers, inputs)),
        )
    if case.target.cache_header is None and (
        offers := dict(pair for received in answered for pair in offered(received))
    ):
        yield _offer(offers)
    if case.freshness is not None:
        doing("reading what the freshness probe would write")
        yield from _probe(case, stack, headers)
    doing("forecasting what the plan can decide")
    yield _guarded("goals-decidable", lambda: _power(case, answered, inputs))
    if stack.owned and case.cache.url_env is None and case.change.needs_start:
        yield from _with_change(case, stack, stored, headers, inputs, doing)


def _answers(
    case: Case,
    stack: Stack,
    headers: Mapping[str, str],
    inputs: Inputs,
    on_headers: Callable[[list[tuple[bytes, bytes]]], None],
) -> Iterator[Guard]:
    """Whether the routes answer as expected. Unexpected answers that a goal covers are a note."""
    try:
        guard, preflight = expected_response(case, stack, headers, inputs, on_headers=on_headers)
    except ArgumentError:
        raise
    except LuckyHitError as error:
        yield _failed("expected-response", error)
        return
    yield guard
    if preflight.unexpected:
        met = "; ".join(f"{answer.request}: {answer.wrong}" for answer in preflight.unexpected)
        yield Guard(id="preflight-met-fault", ok=True, detail=f"{met}. A goal covers this; the run measures it.")


def _offer(offers: Mapping[str, str]) -> Guard:
    """Headers with a value each that may be a cache status; this is only a suggestion."""
    shown = [f"`{name}: {value}`" for name, value in list(offers.items())[:_MOST_OFFERED]]
    offer = f"{listed(shown)} {'looks' if len(shown) == 1 else 'look'} like a cache status: set `target.cache_header`."
    return Guard(id="cache-header", ok=True, detail=offer)


def _probe(case: Case, stack: Stack, headers: Mapping[str, str]) -> Iterator[Guard]:
    try:
        originals_of(case, stack, headers, case.plan.block)
        unlike = unlike_defaults(case, stack, headers)
    except ArgumentError:
        raise
    except LuckyHitError as error:
        yield _failed("freshness-probe", error)
        return
    detail = "Each read route of the probe returns a version below the probe's. Nothing was written."
    yield Guard(id="freshness-probe", ok=True, detail=detail)
    if unlike:
        first, *others = unlike
        differ = (
            f"The probe reads the variants of the workload in turn, and the answers to {listed(others)} differ from "
            f"that to {first}. A write that changes only one of them would look stale in the others: name the variants "
            "that a write changes in freshness.variants."
        )
        yield Guard(id="probe-variants", ok=True, detail=differ)


def _power(case: Case, answered: Sequence[list[tuple[bytes, bytes]]], inputs: Inputs) -> Guard:
    """What the plan can decide for each goal. Not a failure if it may be too little: a run may still decide."""
    declared = signals_of(case.target)
    signals, later = headers_source(declared), later_columns(declared)
    answers = [signals.read(received) for received in answered]
    hidden = [
        name
        for name, kind in METRICS.items()
        if kind.told_by
        and kind.column not in later
        and answers
        and all(getattr(answer, kind.column) in (None, "unknown") for answer in answers)
    ]
    offers = [offer for received in answered for offer in offered_calls(received)]
    shown_by: dict[GoalName, dict[str, str]] = {"db_calls": {f"target.{field}": name for field, name in offers[:1]}}
    planning = planning_of(case, hidden, shown_by if offers else {}, listed=inputs.listed)
    return Guard(
        id="goals-undecidable" if planning.undecidable else "goals-decidable",
        ok=True,
        detail="\n".join(lines_of(planning)),
    )


def _covered(stored: Stored, again: Callable[[], bool]) -> Guard:
    guard, note = stored.after_reads(again)
    return guard or Guard(id="keys-outside-cache-clear", ok=True, detail=note)


def _with_change(
    case: Case,
    stack: Stack,
    stored: Stored | None,
    headers: Mapping[str, str],
    inputs: Inputs,
    doing: Callable[[str], None],
) -> Iterator[Guard]:
    """Start the service once more, with the change, where that shows something: its configuration, the keys that it
    stores then, which it may name in another way. What it stored without the change is cleared, as before a block of a
    run; the cache is the run's own."""
    configured = case.target.config is not None and case.change.configured
    if not configured and stored is None:
        return
    doing("starting the service once more, with the change")
    id: GuardId = "change"
    try:
        # First, as some services remove their keys when they start.
        before, names = (stored.found(), stored.names()) if stored is not None else (NewKeys(), frozenset[bytes]())
        if configured:
            yield _guarded("declared-difference-only", lambda: _shows(case, stack))
        if stored is None or not stored.cache.owned or not stack.alive:
            return
        if case.change.diff_noted:
            copy = stack.workdir.with_name("revision")
            stack.sources = {"after": changing.copied(case, stack.project, copy, "after", stack.environ)}
        if stack.settings != (settings := changing.settings_of(stack, "after")):
            stack.restart(settings)
        id = "cache-clear-names-what-the-change-stores"
        with tempfile.TemporaryDirectory(prefix="luckyhit-check-") as folder:
            changing.clear(stored.cache, case.cache, changing.Journal(Path(folder) / "journal.jsonl"))
        changed = replace(stored, earlier=names & stored.names())
        guard, note = changed.after_reads_with_change(lambda: read_routes(case, stack, headers, inputs), before)
        if guard is None and note:
            guard = Guard(id="keys-outside-cache-clear", ok=True, detail=note)
        if guard is not None:
            yield guard.model_copy(update={"detail": f"With the change: {guard.detail}"})
    except ArgumentError:
        raise
    except LuckyHitError as error:
        yield _failed(id, error)


def _shows(case: Case, stack: Stack) -> Guard:
    """Whether the service's own configuration shows the change."""
    before = changing.take_fingerprints({"before": stack}, case, keyspace=False)["before"]
    stack.restart(changing.settings_of(stack, "after"))
    after = changing.take_fingerprints({"after": stack}, case, keyspace=False)["after"]
    return changing.difference_guard(case, before, after)


def _guarded(id: GuardId, look: Callable[[], Guard]) -> Guard:
    """A failed check as a failed guard, so that the remaining checks are made."""
    try:
        return look()
    except ArgumentError:
        raise
    except LuckyHitError as error:
        return _failed(id, error)


def _failed(id: GuardId, error: LuckyHitError) -> Guard:
    log = "".join(f"\n| {line}" for line in getattr(error, "log", ()))
    return Guard(id=id, ok=False, detail=error.message + log, remedy=error.hint)


def as_text(guards: Iterable[Guard], *, width: int = _WIDTH) -> str:
    """The guards as a list for the terminal, wrapped at `width`. Commands in backticks and lines of a log are never
    broken."""
    rows = list(guards)
    column = max((len(guard_title(guard.id)) for guard in rows), default=0) + 8
    room = max(_LEAST_TEXT, width - column)
    lines: list[str] = []
    for guard in rows:
        text = _wrapped(guard.detail, room)
        if not guard.ok and guard.remedy:
            text += _wrapped(f"what to do: {guard.remedy}", room)
        mark = "FAIL" if not guard.ok else "note" if guard.id in _NOTES else "ok  "
        start = f"{mark}  {guard_title(guard.id)}".ljust(column)
        lines += [start + (text[0] if text else ""), *(" " * column + line for line in text[1:])]
    failed = sum(not guard.ok for guard in rows)
    lines.append("")
    lines.append(
        f"{failed} of {len(rows)} checks failed: a run would stop, or count as INVALID. Nothing was changed."
        if failed
        else "Nothing was changed."
    )
    return "\n".join(line.rstrip() for line in lines)


def _wrapped(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for paragraph in text.split("\n"):
        if paragraph.startswith("|"):
            lines.append(paragraph)
            continue
        whole = re.sub(r"`[^`]*`|\d %", lambda kept: kept[0].replace(" ", _KEPT_SPACE), paragraph)
        wrapped = textwrap.wrap(whole, width, break_long_words=False, break_on_hyphens=False)
        lines += [line.replace(_KEPT_SPACE, " ") for line in wrapped]
    return lines


def _unfilled(part: Any) -> int:
    """Number of texts in a case that `luckyhit new` wrote."""
    return sum(isinstance(leaf, str) and leaf.startswith("TODO") for _, leaf in leaves(part))


def _existing(folder: Path) -> Path:
    """`folder`, or the nearest existing folder above it, since a check makes no directories."""
    while not folder.exists():
        folder = folder.parent
    return folder
