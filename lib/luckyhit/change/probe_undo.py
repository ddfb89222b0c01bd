"""Put back what a probe that was killed had written to a service, from its undo log, in the way the probe writes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence

import httpx

from luckyhit.case.freshness import Freshness, VersionWrite
from luckyhit.case.values.placeholders import fill, fill_text
from luckyhit.change.journal import Step
from luckyhit.change.kinds.kind import UndoContext
from luckyhit.errors import ArgumentError, TargetError
from luckyhit.probe.probe_writes import CommandWriter, SqlWriter
from luckyhit.probe.undo_log import read_undo_log
from luckyhit.system.control import client_options

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
    service = _Service(context, freshness, str(context.case.target.url))
    failed = [key for key, value in known.items() if not service.write(key, value)]
    failed += [key for key in created if not service.remove(key)]
    if failed:
        raise TargetError(
            f"{len(failed)} of the probe's keys not put back ({', '.join(failed[:_MOST_NAMED])}): {service.error}",
            hint=f"{step.inverse['ledger']} in the run's directory has their values. By hand: {service.by_hand()}",
        )
    unknown = [key for key, value in held.items() if value is None]
    lost = f", {len(unknown)} not (their values were never read: {', '.join(unknown[:_MOST_NAMED])})"
    removed = f", {len(created)} created ones removed" if created else ""
    return f"{len(known)} of the probe's keys put back{removed}{lost if unknown else ''}"


class _Service:
    """Writes values as the case's probe does."""

    def __init__(self, context: UndoContext, freshness: Freshness, base_url: str) -> None:
        self.error = ""
        self._context, self._freshness, self._base_url = context, freshness, base_url
        target = context.case.target
        self._headers = {
            header: context.environ[name] for header, name in target.headers_env.items() if name in context.environ
        }
        self._options = client_options(target, base_url, context.project)

    def write(self, key: str, value: int) -> bool:
        write = self._freshness.write
        if write.command is None and write.sql is None:
            values = {"key": int(key), "version": value}
            return self._send(write.method, fill_text(write.path or "", values), write.statuses, write, values)
        if write.command is not None:
            writer: CommandWriter | SqlWriter = CommandWriter(write.command, {})
        else:
            name = write.database_env
            if name is not None and name not in self._context.environ:
                raise ArgumentError(f"not set in the environment: {name}", hint="Export it, then revert again.")
            writer = SqlWriter(write.sql or "", self._context.environ[name] if name else write.database or "")
        written = asyncio.run(writer.write(key, value, _TIMEOUT_S))
        self.error = self.error or ("" if written.accepted else written.description)
        return written.accepted

    def remove(self, key: str) -> bool:
        if self._freshness.absent is None:
            return True
        removal = self._freshness.absent.remove
        return self._send(
            removal.method, fill_text(removal.path, {"key": key}), [*removal.statuses, 404, 410], None, {}
        )

    def by_hand(self) -> str:
        write = self._freshness.write
        return f"{write.method} {self._base_url}{write.path} for each" if write.path else "as freshness.write says"

    def _send(
        self,
        method: str,
        path: str,
        good: Sequence[int],
        write: VersionWrite | None,
        values: Mapping[str, int],
    ) -> bool:
        headers, content = dict(self._headers), None
        if write is not None:
            headers |= {name: fill_text(text, values) for name, text in write.headers.items()}
            if isinstance(write.body, str):
                content = fill_text(write.body, values).encode()
            elif write.body is not None:
                content = json.dumps(fill(write.body, values)).encode()
                headers.setdefault("content-type", "application/json")
        try:
            with httpx.Client(timeout=_TIMEOUT_S, trust_env=False, **self._options) as client:
                status = client.request(method, self._base_url + path, headers=headers, content=content).status_code
        except httpx.HTTPError as error:
            self.error = self.error or f"{method} {path} gave no answer ({type(error).__name__})"
            return False
        if status not in good:
            self.error = self.error or f"{method} {path} answered {status}"
        return status in good
