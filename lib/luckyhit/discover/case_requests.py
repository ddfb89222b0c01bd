"""The requests of a case: the workload, and the probe for old data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from luckyhit.case.values.placeholders import escape
from luckyhit.case.values.texts import SIMPLE_PATH
from luckyhit.discover.chosen import CaseParts
from luckyhit.discover.evidence import FORM, Discovery, ReadRoute, WriteRoute
from luckyhit.discover.exploring.numbered_bodies import as_form
from luckyhit.discover.yaml_text import comment, flow, in_quotes, quoted, route_name, with_text_replaced

_UNKNOWN_RATE = "50/s"


class Guesses(list[str]):
    """The fields that nothing shows for certain."""

    def comment(self, field: str, why: str, indent: str = "") -> list[str]:
        """Note the field; the comment lines that say so."""
        self.append(field)
        return comment(f"guess: {why}", indent)


class RequestSections:
    """The lines of two sections. `files`: lists of keys that belong beside the case, name → text; `key_folder`: where
    they will be, relative to the project."""

    def __init__(self, name: str, discovery: Discovery, chosen: CaseParts, guesses: Guesses, key_folder: str) -> None:
        self.name, self.discovery, self.chosen, self.guesses = name, discovery, chosen, guesses
        self.files: dict[str, str] = {}
        self._key_folder = key_folder

    def workload(self) -> Iterator[str]:
        chosen, rate = self.chosen, self.discovery.evidence.rate
        yield "# The requests, generated from the seed, the same for both arms."
        yield "workload:"
        yield "  seed: 1"
        if rate is None:
            yield from self.guesses.comment("workload.rate", "no log was given.", "  ")
        yield f"  rate: {f'{min(max(rate, 1), 200):g}/s' if rate is not None else _UNKNOWN_RATE}"
        yield "  routes:"
        names: set[str] = set()
        versioned = self._versioned_reads
        for read in self._workload_reads:
            yield f"    - name: {route_name(read.route.name or read.path, names)}"
            yield f"      path: {quoted(chosen.keyed(read.path))}"
            yield from self._weight(read.route.weight, 8 if read is chosen.read else 1)
            yield from self._keys("      ", bool(read.ids))
            yield from self._headers("      ", {})
            if read is not chosen.read:
                fields = [field for field in read.fields if re.fullmatch(SIMPLE_PATH, field)][:8]
                yield f"      response: {{status: {read.status}, fields: {flow(fields)}}}"
            if read in versioned:
                yield f"      version: {quoted(chosen.version_of(read))}"
        if not self._workload_reads:
            yield f"    - {{name: home, path: {quoted(self.discovery.usual_path)}}}"
        write = chosen.write
        if write is not None and self.discovery.started and not self._written:
            yield f"    # No write here: {self._why_unwritten}."
        elif write is not None and self._written:
            yield f"    - name: {route_name(write.route.name or 'write', names)}"
            yield f"      method: {write.route.method}"
            yield f"      path: {quoted(chosen.keyed(write.path))}"
            yield from self._weight(write.route.weight, 1)
            yield from self._keys("      ", True)
            yield from self._body(write, "      ", "{number}")
            if versioned:
                yield '      version: "{number}"'
            yield f"      response: {{status: {flow(write.statuses)}}}"

    @property
    def _written(self) -> bool:
        """Whether the workload writes: not where the probe needs all keys."""
        usual = self.chosen.write is not None and self.chosen.write.first_version is None
        return usual and self.chosen.write_keyed and self.discovery.started and not self.chosen.keys.shared

    @property
    def _why_unwritten(self) -> str:
        if not self.chosen.write_keyed:
            return "it names no key"
        if self.chosen.keys.shared:
            return "there are so few keys that the probe has all of them"
        return "it takes no number of any size"

    @property
    def _versioned_reads(self) -> list[ReadRoute]:
        """The reads of the workload that show what its write wrote, by key. The load engine reads simple paths only."""
        version = self.chosen.version_of
        if not self._written:
            return []
        return [read for read in self._workload_reads if read.ids and re.fullmatch(SIMPLE_PATH, version(read))]

    @property
    def _workload_reads(self) -> list[ReadRoute]:
        """Without health checks, which tell nothing about the cache."""
        launch = self.discovery.launch
        left_out = {self.discovery.config_path, launch.ready if launch is not None else None}
        return [read for read in self.chosen.reads if read.path not in left_out or read is self.chosen.read]

    def _headers(self, indent: str, more: Mapping[str, str]) -> Iterator[str]:
        headers = {name: escape(value) for name, value in {**self.discovery.headers, **more}.items()}
        if headers:
            yield f"{indent}headers: {{{', '.join(f'{quoted(k)}: {in_quotes(v)}' for k, v in headers.items())}}}"

    def _body(self, write: WriteRoute, indent: str, number: str) -> Iterator[str]:
        body = write.body
        if write.media_type == FORM:
            body = as_form(body)
        yield from self._headers(indent, {"Content-Type": FORM} if write.media_type == FORM else {})
        yield f"{indent}body: {in_quotes(with_text_replaced(body, '{version}', number))}"

    def _weight(self, proportion: float | None, usual: int) -> Iterator[str]:
        if proportion is not None:
            yield "      # seen: the log"
        elif not any(read.route.weight is not None for read in self.discovery.reads):
            yield from self.guesses.comment("workload.routes.weight", "no log was given.", "      ")
        yield f"      weight: {max(round(100 * proportion, 3), 0.001) if proportion is not None else usual}"

    def _keys(self, indent: str, needed: bool) -> Iterator[str]:
        if not needed:
            return
        numbers = self.chosen.keys.workload
        if numbers is not None:
            yield f"{indent}keys: {{first: {numbers[0]}, last: {numbers[1]}, popularity: zipf}}"
            return
        file = f"{self.name}.keys.txt"
        self.files[file] = "".join(f"{key}\n" for key in self.chosen.keys.texts)
        yield f"{indent}keys: {{file: {quoted(f'{self._key_folder}/{file}')}, popularity: zipf}}"

    def freshness(self) -> Iterator[str]:
        chosen, write = self.chosen, self.chosen.write
        if write is None or not chosen.probed:
            yield "# No probe for old data: " + (
                "nothing is written to a service that is only observed."
                if not self.discovery.started
                else "no write was found whose value a read shows for a key."
            )
            return
        yield "# The probe for old data writes increasing numbers and measures when readers see them."
        yield from comment(f"seen: {write.where or 'a number written to a service that was started here'}")
        yield "freshness:"
        yield "  write:"
        yield f"    method: {write.route.method}"
        yield f"    path: {quoted(chosen.keyed(write.path))}"
        yield from self._body(write, "    ", "{version}")
        yield f"    status: {flow(write.statuses)}"
        yield "  reads:"
        names: set[str] = set()
        # A list may not have every key of the probe on its page.
        shown = [(read, shows) for read, shows in chosen.shown if read.ids] or list(chosen.shown)
        for read, shows in shown:
            if shows.guess:
                yield from self.guesses.comment("freshness.reads", "seen once only.", "    ")
            yield f"    - name: {route_name(read.route.name or read.path, names)}"
            yield f"      path: {quoted(chosen.keyed(read.path))}"
            if shows.json_path:
                yield f"      version: {in_quotes(shows.json_path)}"
            if shows.json_path and shows.regex:
                other = "another text before the first write, which counts as version 0"
                form = "texts of this form before the first write"
                yield from comment(f"seen: {other if shows.regex.startswith('^(?:') else form}", "      ")
            if shows.regex:
                yield f"      regex: {in_quotes(shows.regex)}"
        for read, shows in chosen.shown:
            if (read, shows) not in shown:
                place = f"{chosen.keyed(read.path)} shows it too, at {shows.json_path or shows.regex}"
                yield from comment(f"{place}: add it if it shows all of these keys.", "    ")
        yield from self._probe_keys()
        if write.first_version is not None:
            yield from comment("seen: it refuses greater numbers", "  ")
            yield f"  first_version: {write.first_version}"
        yield from self.guesses.comment("freshness.within", "how old an answer may be is for the owner to say.", "  ")
        yield "  within: 100ms"
        yield "  horizon: 2s"

    def _probe_keys(self) -> Iterator[str]:
        keys = self.chosen.keys
        shared = ", shared: true" if keys.shared else ""
        if keys.probe is not None:
            yield f"  keys: {{first: {keys.probe[0]}, last: {keys.probe[1]}{shared}}}"
            return
        yield "  keys:"
        if keys.shared:
            yield "    shared: true"
        yield "    names:"
        yield from (f"      - {in_quotes(name)}" for name in keys.probe_names)
