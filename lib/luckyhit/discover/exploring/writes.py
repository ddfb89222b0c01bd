"""Write routes, tried on a service of our own: which reads show the number that was written, and after how long."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace

from luckyhit.case.values.placeholders import escape
from luckyhit.discover.asking import Answer
from luckyhit.discover.evidence import KeyUse, ServiceEvidence, ServiceRoute, Shows, WriteRoute
from luckyhit.discover.exploring.attempts import Accepted, Attempt, Attempts, path_for
from luckyhit.discover.exploring.bodies import QUERY
from luckyhit.discover.exploring.ids import shape_of, spread
from luckyhit.discover.exploring.json_places import place_of, regex_of
from luckyhit.discover.exploring.key_templates import Touched, key_templates
from luckyhit.discover.exploring.numbered_bodies import has_key, numbered, with_key, with_placeholder
from luckyhit.discover.exploring.old_values import WHOLE, OldValues
from luckyhit.discover.exploring.reads import Exploring
from luckyhit.text.json_values import is_object, map_texts

METHODS = ("PUT", "PATCH", "POST")
_MOST_READS = 12
_SHOWN_WITHIN_S, _LATE_WITHIN_S = 1.2, 3.0
_OTHERS_WITHIN_S = 0.6
"""How long other reads are waited for once one shows it."""
_FRESH_WITHIN_S = 2.5
_SETTLED_S = 0.3
_PAUSE_S = 0.02


class WriteFinder:
    """Tries the write routes of a service; `fields` as `RouteTable.fields`."""

    def __init__(self, state: Exploring, fields: Mapping[tuple[str, str], tuple[str, ...]]) -> None:
        self._state = state
        self._attempts = Attempts(state, fields)
        self._old = OldValues(state, self._attempts)
        self._pause = threading.Event()

    def find(self, evidence: ServiceEvidence, writes: list[WriteRoute]) -> None:
        """Adds to `writes` as they are found; what was not tried or not accepted goes to `skipped`."""
        routes = [route for route in evidence.routes if route.method not in ("GET", "HEAD", "OPTIONS")]
        order = {method: number for number, method in enumerate(METHODS)}
        known = tuple(shape_of(read.path) for read in self._state.reads if read.ids)

        def place(route: ServiceRoute) -> tuple[bool, int, str]:
            """Those of resources that reads show come first: the time may be up before the others."""
            return not shape_of(route.path).startswith(known), order.get(route.method, 9), route.path

        for route in sorted(routes, key=place):
            if route.risk or route.method not in METHODS:
                self._state.skip(route, route.risk or "this method is not tried")
            elif not self._state.asker.may_write:
                self._state.skip(route, "nothing is written to a service that was not started here")
            elif reason := self._state.over():
                self._state.skip(route, reason)
            else:
                self._state.tell(f"trying {route.method} {route.path}")
                write = self._write(route)
                if write is not None:
                    writes.append(write)

    def _write(self, route: ServiceRoute) -> WriteRoute | None:
        attempt = self._attempts.attempt(route)
        if attempt is None:
            return None
        best: WriteRoute | None = None
        first: Accepted | None = None
        shown: list[tuple[int, Accepted, WriteRoute]] = []
        for accepted in self._attempts.accepted(attempt):
            first = first or accepted
            write = self._shown(attempt, accepted, attempt.key)
            if write.shows:
                shown.append((self._old.rank(attempt, write), accepted, write))
                if shown[-1][0] == WHOLE or self._state.over():
                    break
                continue
            # A page to log in at is shown by a redirection too.
            best = best or (write if accepted.answer.ok else None)
            attempt.rejected += [] if accepted.answer.ok else [accepted.answer.status]
        if shown:
            _, accepted, write = min(shown, key=lambda candidate: candidate[0])
            return self._described(attempt, accepted, write)
        if first is not None and (late := self._shown_late(attempt, first)) is not None:
            return late
        if best is None:
            status = attempt.rejected[-1] if attempt.rejected else None
            reason = (
                "no body for it is known" if status is None else f"it answered {status}" if status else "no answer came"
            )
            self._state.skip(route, reason)
        return best

    def _shown_late(self, attempt: Attempt, accepted: Accepted) -> WriteRoute | None:
        """What shows for a key that nobody has read yet, and after longer: a process may keep copies of its own, which
        no emptied cache takes away, and a replica may be behind."""
        reads = [read for read in self._attempts.related(attempt.route.path) if attempt.key in read.ids]
        documents = self._state.documents
        unread = (key for key in attempt.ids if not any(path_for(read, key) in documents for read in reads))
        key = next(unread, "") if attempt.name and reads else ""
        if not key or self._state.over():
            return None
        attempt.key = key
        write = self._shown(attempt, accepted, key, _LATE_WITHIN_S)
        return self._described(attempt, accepted, write) if write.shows else None

    def _described(self, attempt: Attempt, accepted: Accepted, write: WriteRoute) -> WriteRoute:
        write = self._with_windows(attempt, accepted, self._old.readable(attempt, accepted, write))
        return self._with_keys(attempt, accepted, write)

    def _shown(self, attempt: Attempt, accepted: Accepted, key: str, within_s: float = _SHOWN_WITHIN_S) -> WriteRoute:
        """Write a fresh number, and look for it in all reads with the cache emptied before each look."""
        if not attempt.name and not has_key(accepted.body, key):
            key = created(accepted.answer) or key
        reads = [read for read in self._attempts.related(attempt.route.path) if not read.ids or key in read.ids]
        if attempt.route.method == "POST" and key != attempt.key:
            reads = self._attempts.related(attempt.route.path)
        pending = {read.path: path_for(read, key) for read in reads[:_MOST_READS]}
        number = next(attempt.numbers)
        sent = numbered(with_key(accepted.body, key) if attempt.name else accepted.body, accepted.place, number)
        answer = self._attempts.send(attempt, sent)
        if not attempt.name and attempt.route.method == "POST" and key != attempt.key:
            key = created(answer) or key
            pending = {read.path: path_for(read, key) for read in reads[:_MOST_READS]}
        shows: list[Shows] = []
        until = time.monotonic() + within_s
        while pending and (time.monotonic() < until):
            self._state.empty_cache()
            for read_path, path in list(pending.items()):
                later = self._state.asker.get(path)
                place = place_of(later.document, number, key)
                if pattern := regex_of(later.text, number):
                    shows.append(Shows(read_path, "", guess=True, regex=pattern))
                    del pending[read_path]
                elif place:
                    # Another key may be at another place of a list.
                    guess = "[" in place and "{key}" not in place and "{" not in read_path
                    shows.append(Shows(read_path, place, guess=guess))
                    del pending[read_path]
            if shows and time.monotonic() > until - within_s + _OTHERS_WITHIN_S:
                break
            self._pause.wait(_PAUSE_S)
        order = [read.path for read in reads]
        constant = map_texts(accepted.body, escape)
        body = numbered(with_placeholder(constant, attempt.key), accepted.place, "{version}")
        return WriteRoute(
            attempt.route,
            attempt.write_path(body),
            {name: value for name, value in body.items() if name != QUERY},
            tuple(sorted({accepted.answer.status, answer.status})) if answer.accepted else (accepted.answer.status,),
            tuple(sorted(shows, key=lambda shown: order.index(shown.read))),
            where=f"tried: accepted with {accepted.answer.status}",
            first_version=attempt.first_number,
            media_type=attempt.media_type,
        )

    def _with_windows(self, attempt: Attempt, accepted: Accepted, write: WriteRoute) -> WriteRoute:
        """How long each read still served the old value, after it was read just before the write."""
        if not attempt.name and not has_key(accepted.body, attempt.key):
            return write
        paths = {read.path: path_for(read, attempt.key) for read in self._state.reads}
        for shows in write.shows:
            self._state.asker.get(paths[shows.read])
            self._state.asker.get(paths[shows.read])
        number = next(attempt.numbers)
        answer = self._attempts.send(attempt, numbered(accepted.body, accepted.place, number))
        if not answer.accepted:
            return write
        pending = {shows.read for shows in write.shows}
        stale_s: dict[str, float | None] = {}
        rounds = 0
        while pending and time.monotonic() - answer.done_s < _FRESH_WITHIN_S:
            for read in sorted(pending):
                later = self._state.asker.get(paths[read])
                if place_of(later.document, number) or regex_of(later.text, number):
                    stale_s[read] = None if rounds == 0 else round(later.done_s - answer.done_s, 3)
                    pending.discard(read)
            rounds += 1
            if pending:
                self._pause.wait(_PAUSE_S)
        stale_s |= {read: round(time.monotonic() - answer.done_s, 3) for read in pending}
        return replace(write, shows=tuple(replace(shown, stale_s=stale_s[shown.read]) for shown in write.shows))

    def _with_keys(self, attempt: Attempt, accepted: Accepted, write: WriteRoute) -> WriteRoute:
        """The keys that a write touches until it is answered, and those that it deletes shortly after."""
        state = self._state
        if state.cache is None or state.cache.commands is None:
            return write
        shown = [read for read in state.reads if read.path == write.shows[0].read]
        requests: list[Touched] = []
        keys = spread(attempt.ids) if attempt.name and attempt.ids else [attempt.key]
        for key in keys:
            body = numbered(with_key(accepted.body, key), accepted.place, next(attempt.numbers))
            path = path_for(shown[0], key)
            state.asker.get(path)
            with ExitStack() as stack:
                during = stack.enter_context(state.cache.commands.window())
                later = stack.enter_context(state.cache.commands.window())
                answer = self._attempts.send(attempt, body, key)
                commands = during.close()
                self._pause.wait(_SETTLED_S if not any(command.verb == "deleted" for command in commands) else 0)
                commands += [command for command in later.close() if command.verb == "deleted"]
            if answer.accepted:
                uses = frozenset((command.verb, name) for command in commands for name in command.keys)
                requests.append(Touched({attempt.name or "key": key}, uses))
                state.add_keys(shown[0], path, key)
        keys_in_use: tuple[KeyUse, ...] = key_templates(requests) if requests else ()
        return replace(write, keys=keys_in_use)


def created(answer: Answer) -> str:
    """The id of what a write made, by its answer or its Location; empty where neither tells."""
    document = answer.document
    if is_object(document):
        for name in ("id", "pk", "uuid"):
            if isinstance(document.get(name), int | str):
                return str(document[name])
    return answer.header("location").rstrip("/").rpartition("/")[2]
