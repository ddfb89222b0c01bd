"""Put back what a probe that was killed had written to a service, from its undo log, in the way the probe writes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from luckyhit.case.changes.http import HttpCall
from luckyhit.case.freshness import Freshness
from luckyhit.case.values.keys import in_path, key_value
from luckyhit.case.values.placeholders import fill, fill_text
from luckyhit.change.journal import Step
from luckyhit.change.kinds.http_kind import ServiceCalls
from luckyhit.change.kinds.kind import UndoContext
from luckyhit.errors import ArgumentError, TargetError
from luckyhit.probe.probe_writes import CommandWriter, SqlWriter
from luckyhit.probe.undo_log import read_undo_log

PROBED = "probe"
_TIMEOUT_S = 10.0
_MOST_NAMED = 5


def undo(step: Step, context: UndoContext) -> str:
    """Put back what the undo log of a journalled block holds; returns what was done. Safe to repeat: the keys are the
    probe's alone. Raises TargetError where the service refuses a value, with what to do by hand."""
    freshness = context.case.freshness
    held: dict[str, int | None] = {}
    created: list[str] = []
    for key, value, made in read_undo_log(context.folder / str(step.inverse["ledger"])):
        if made:
            created.append(key)
        else:
            held.setdefault(key, value)
    if freshness is None or not (held or created):
        return "the probe wrote nothing"
    known = {key: value for key, value in held.items() if value is not None}
    errors = dict(_failures(context, freshness, known, created))
    if errors:
        write = freshness.write
        by_hand = f"{write.method} {context.case.target.url}{write.path} for each" if write.path else "freshness.write"
        raise TargetError(
            f"{len(errors)} of the probe's keys not put back ({', '.join(list(errors)[:_MOST_NAMED])}): "
            f"{next(iter(errors.values()))}",
            hint=f"{step.inverse['ledger']} in the run's directory has their values. By hand: {by_hand}",
        )
    unknown = [key for key, value in held.items() if value is None]
    lost = f", {len(unknown)} not (their values were never read: {', '.join(unknown[:_MOST_NAMED])})"
    removed = f", {len(created)} created ones removed" if created else ""
    return f"{len(known)} of the probe's keys put back{removed}{lost if unknown else ''}"


def _failures(
    context: UndoContext, freshness: Freshness, known: dict[str, int], created: list[str]
) -> Iterator[tuple[str, str]]:
    """Put every key back; (key, why not) of each that failed."""
    target = context.case.target
    calls = ServiceCalls(target, str(target.url), context.project, context.environ)
    for key, value in known.items():
        try:
            _write(context, freshness, calls, key, value)
        except TargetError as error:
            yield key, error.message
    for key in created if freshness.absent is not None else ():
        removal = freshness.absent.remove  # type: ignore[union-attr]
        statuses = [*removal.statuses, 404, 410]
        try:
            calls.send(
                HttpCall.model_construct(
                    method=removal.method, path=fill_text(removal.path, {"key": in_path(key)}), status=statuses
                )
            )
        except TargetError as error:
            yield key, error.message


def _write(context: UndoContext, freshness: Freshness, calls: ServiceCalls, key: str, value: int) -> None:
    """Write a value as the case's probe does. Raises TargetError."""
    write, values = freshness.write, {"key": key_value(key), "version": value}
    if write.command is None and write.sql is None:
        body = fill_text(write.body, values) if isinstance(write.body, str) else fill(write.body, values)
        headers = {name: fill_text(text, values) for name, text in write.headers.items()}
        path = fill_text(write.path or "", {**values, "key": in_path(key)})
        calls.send(
            HttpCall.model_construct(
                method=write.method, path=path, body=body, headers=headers, status=[*write.statuses]
            )
        )
        return
    if write.command is not None:
        writer: CommandWriter | SqlWriter = CommandWriter(write.command, {})
    else:
        name = write.database_env
        if name is not None and name not in context.environ:
            raise ArgumentError(f"not set in the environment: {name}", hint="Export it, then revert again.")
        writer = SqlWriter(write.sql or "", context.environ[name] if name else write.database or "")
    result = asyncio.run(writer.write(key, value, _TIMEOUT_S))
    if not result.accepted:
        raise TargetError(result.description)
