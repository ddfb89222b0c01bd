"""A complete, commented case from what was found out. Each value has a comment that says where it was seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from luckyhit.case.values.texts import SIMPLE_PATH
from luckyhit.discover.case_requests import Guesses, RequestSections
from luckyhit.discover.changed import candidates, changed_in
from luckyhit.discover.chosen import CaseParts, chosen_from
from luckyhit.discover.evidence import Discovery, KeyUse, ReadRoute
from luckyhit.discover.exploring.key_templates import without_covered
from luckyhit.discover.yaml_text import comment, flow, in_quotes, listed_comment, quoted
from luckyhit.load.signals.signal_table import CACHE_SOURCES

_CONFIG_NAME = r"[^\s.]+(?:\.[^\s.]+)*"


@dataclass(frozen=True)
class CaseDraft:
    """The text of a case, and files that belong beside it: name → text. `guesses`: fields that nothing shows for
    certain. `todo`: texts that a person has to write. `measures`: whether any read of it may meet a cache; `probed`:
    whether it looks for old data."""

    text: str
    files: dict[str, str] = field(default_factory=dict)
    guesses: tuple[str, ...] = ()
    measures: bool = True
    probed: bool = True

    @property
    def todo(self) -> int:
        return self.text.count('"TODO')


def case_draft(name: str, discovery: Discovery, key_folder: str = "data/cases") -> CaseDraft:
    """`key_folder`: where a list of keys that are no numbers will be, relative to the project."""
    chosen = chosen_from(discovery)
    guesses = Guesses()
    writer = _Writer(name, discovery, chosen, guesses)
    requests = RequestSections(name, discovery, chosen, guesses, key_folder)
    sections = (
        writer.head, writer.people, writer.route, writer.expected, writer.why, writer.change, writer.cache,
        writer.rollback, writer.target, requests.workload, requests.freshness, writer.goals, writer.end,
    )  # fmt: skip
    text = "\n".join("\n".join(lines) + "\n" for section in sections if (lines := list(section())))
    return CaseDraft(text, requests.files, tuple(guesses), chosen.about_cache(discovery), chosen.probed)


class _Writer:
    def __init__(self, name: str, discovery: Discovery, chosen: CaseParts, guesses: Guesses) -> None:
        self.name, self.discovery, self.chosen, self.guesses = name, discovery, chosen, guesses
        self._settings = candidates(discovery)
        self._changed = changed_in(discovery, self._settings)

    def head(self) -> Iterator[str]:
        yield "# yaml-language-server: $schema=case.schema.json"
        yield "#"
        yield f"# Case {self.name}, found out by `luckyhit new`. Write what says TODO, look at what says guess, then:"
        yield f"#   luckyhit check {self.name}   and   luckyhit run {self.name}"
        yield "# docs/case-file.md describes every field. No secrets in here: name environment variables instead."
        if self.discovery.partial:
            yield "#"
            yield "# PARTIAL: finding out was interrupted; what is missing was not looked at."

    def people(self) -> Iterator[str]:
        yield "# What is wrong, in one line, in the words of a user; and who is responsible for this case."
        yield 'title: "TODO: what the user sees, and should not see"'
        yield "owner:"
        yield '  name: "TODO: a person or a team"'
        yield '  contact: "TODO: an address or a channel"'

    def route(self) -> Iterator[str]:
        read = self.chosen.read
        yield "# The route in question, its usual input, and the slow query or failing command as one would run it."
        if read is None:
            yield from self.guesses.comment("route", "no read route was seen to answer.")
            yield f"route: {quoted(f'GET {self.discovery.usual_path}')}"
            yield 'input: "TODO: path, query and body, with usual values"'
        else:
            yield from comment(f"seen: {read.where or ', '.join(read.route.where)}")
            yield f"route: {quoted(f'GET {read.path}')}"
            yield f"input: {quoted(self._input(read))}"
        yield 'suspect: "TODO: the query or command, and its output"'
        yield 'noticed: "TODO: the page, the place on it, and after what"'

    def _input(self, read: ReadRoute) -> str:
        if not read.ids:
            return "No parameter."
        keys = self.chosen.keys
        if keys.numbers is not None:
            return f"A whole number from {keys.numbers[0]} to {keys.numbers[1]}."
        return f"One of {len(read.ids):,} keys, such as {read.ids[0]}."[:500]

    def expected(self) -> Iterator[str]:
        read = self.chosen.read
        yield "# What should happen when the cache works correctly, and what a correct response looks like."
        yield "expected:"
        yield '  result: "TODO: what the user should see instead"'
        yield "  response:"
        yield f"    status: {read.status if read is not None else 200}"
        fields = [path for path in (read.fields if read is not None else ()) if re.fullmatch(SIMPLE_PATH, path)][:8]
        if fields:
            yield "    # seen in the answers"
            yield f"    fields: {flow(fields)}"

    def why(self) -> Iterator[str]:
        yield "# Why it happens, as far as is known now; what goes wrong if the change is wrong; what is assumed."
        yield 'hypothesis: "TODO: because ..."'
        yield 'failure_mode: "TODO: if this is wrong, then ..."'
        yield "assumptions:"
        if any(read.route.weight is not None for read in self.discovery.reads):
            yield "  - The mix of requests is that of the log this case was made from."
        else:
            yield '  - "TODO: the workload below is like the real one in ..."'

    def change(self) -> Iterator[str]:
        changed = self._changed
        yield "# The one change."
        if changed is None:
            yield from self.guesses.comment(
                "change",
                "no setting was found that could be changed (--change names one): the service is compared with itself.",
            )
            yield "change:"
            yield "  kind: none"
            yield "  what: The service is compared with itself"
        else:
            if changed.named:
                yield from comment("as named by --change; the value before is that of --env, else the code's default")
            elif changed.setting is not None:
                about = "may be about the cache, by its name" if changed.setting.about_cache else "could be changed"
                where = f"seen: {changed.setting.where}, default {changed.setting.default}"
                yield from self.guesses.comment("change", f"{changed.name} {about} ({where}); --change names another.")
            yield "change:"
            yield "  kind: env"
            yield f'  what: "TODO: what {changed.name} changes"'
            yield f"  name: {changed.name}"
            yield f"  before: {in_quotes(changed.before)}"
            yield f"  after: {in_quotes(changed.after)}"
            yield "  smallest: One variable, no code."
        choices = changed.setting.choices if changed is not None and changed.setting is not None else ()
        if len(choices) > 2:
            yield from comment(f"it is compared with: {', '.join(choices[:8])}")
        others = [setting for setting in self._settings if changed is None or setting.name != changed.name]
        if others:
            yield "# Other settings that could be changed instead:"
            for setting in others[:12]:
                shown = "no default" if setting.default is None else f"default {setting.default}"
                values = f"; compared with {', '.join(setting.choices[:6])}" if setting.choices else ""
                yield from comment(f"  name: {setting.name}   ({shown}{values}; seen: {setting.where})")

    def cache(self) -> Iterator[str]:
        discovery = self.discovery
        if discovery.launch is None:
            yield "# The keys that may be cleared; other keys are never touched. Nothing says where the cache is:"
            yield "# name the variable that holds its URL (url_env: CACHE_URL), and its keys."
            yield from self.guesses.comment("cache.clear", "the cache was not looked into.")
            yield "cache:"
            yield '  clear: ["TODO:{id}"]'
            return
        if not discovery.launch.cache_env:
            yield "# No cache server was seen in use: the service is restarted before each block."
            return
        templates = without_covered(dict.fromkeys(self._template(use) for use in self.chosen.keys_in_use))
        yield "# The keys that may be cleared; other keys are never touched."
        yield "cache:"
        if templates:
            hashed = [use for use in self.chosen.keys_in_use if use.hashed]
            yield "  # seen: the cache's own commands while one request ran alone"
            if hashed:
                yield from comment("A part of these keys looks like a hash: {hash} stands for it.", "  ")
            if any(use.guess for use in self.chosen.keys_in_use):
                yield from self.guesses.comment("cache.clear", "a template that one id alone supports.", "  ")
            yield "  clear:"
            yield from (f"    - {in_quotes(template)}" for template in templates)
        else:
            yield from self.guesses.comment("cache.clear", "the service connected to it, and no key was seen.", "  ")
            yield '  clear: ["TODO:{id}"]'
        yield "  # The cache server is the run's own."
        yield "  dedicated: true"

    def _template(self, use: KeyUse) -> str:
        """As a case has it: names of parameters may be anything, those of placeholders not."""

        def named(match: re.Match[str]) -> str:
            name = re.sub(r"\W", "_", match[1] or "", flags=re.ASCII).lstrip("0123456789")
            return f"{{{name or 'key'}}}" if match[1] else match[0]

        return re.sub(r"\*+", "{hash}", re.sub(r"\{\{|\}\}|\{([^{}]*)\}", named, use.template))

    def rollback(self) -> Iterator[str]:
        changed = self._changed
        yield "# How to roll back, in words that another engineer can follow, and how to notice that it is necessary."
        yield "rollback:"
        if changed is not None:
            back = (
                f"Set {changed.name} back to {changed.before}"
                if changed.before is not None
                else f"Unset {changed.name}"
            )
            yield f"  note: {quoted(f'{back} and restart the service.')}"
        else:
            yield '  note: "Nothing is changed."'
        yield '  notice: "TODO: which number, on which dashboard, above which value, for how long"'

    def target(self) -> Iterator[str]:
        discovery, launch = self.discovery, self.discovery.launch
        yield "# The service."
        yield "target:"
        if launch is None:
            yield f"  url: {in_quotes(discovery.url or 'http://127.0.0.1:8000')}"
        else:
            yield "  start:"
            if launch.python is not None:
                yield f"    python: {quoted(launch.python)}"
            for topic in ("port", "cache", "ready"):
                if topic in launch.where:
                    yield from comment(f"{topic}: {launch.where[topic]}", "    ")
            yield "    # PATH is the shell's: activate the service's virtual environment there, or write PATH into env."
            yield f"    command: {flow(launch.command)}"
            env = dict(launch.env)
            if self._changed is not None and self._changed.before is not None:
                env[self._changed.name] = self._changed.before
            if env:
                yield "    env:"
                yield from (f"      {name}: {in_quotes(value)}" for name, value in env.items())
            # What the change sets is no variable that both arms share.
            passed = [name for name in launch.pass_env if self._changed is None or name != self._changed.name]
            if passed:
                yield f"    pass_env: {flow(passed)}"
            yield f"    cwd: {quoted(launch.cwd)}"
            yield f"    ready: {quoted(launch.ready)}"
            if launch.port is not None:
                yield f"    port: {launch.port}"
            yield "    ready_within: 30s"
        if discovery.config_path is not None:
            yield f"  # seen: GET {discovery.config_path} answers with settings in effect"
            yield f"  config: {quoted(discovery.config_path)}"
            ignored = [name for name in discovery.config_ignore if re.fullmatch(_CONFIG_NAME, name)]
            if ignored:
                yield "  # seen: they differ between two processes of the service"
                yield f"  config_ignore: {flow(ignored)}"
        yield from self._cache_header()
        if self.chosen.read is not None and self.chosen.read.db_header:
            yield from comment(f"database calls of a request: seen in {self.chosen.read.db_header}", "  ")
        elif self.chosen.read is not None and self.chosen.read.db_offer is not None:
            place, name = self.chosen.read.db_offer
            yield from self.guesses.comment(f"target.{place}", "the number of database calls, by its name.", "  ")
            yield f"  {place}: {quoted(name)}"
        if discovery.headers_env:
            yield f"  headers_env: {{{', '.join(f'{in_quotes(k)}: {v}' for k, v in discovery.headers_env.items())}}}"

    def _cache_header(self) -> Iterator[str]:
        """The header of the cache status, where its name is not a usual one."""
        shown = self.chosen.read.cache_header if self.chosen.read is not None else ""
        name, _, value = shown.partition(":")
        if not name or any(name.strip().lower() == source.name for source in CACHE_SOURCES):
            return
        yield from self.guesses.comment("target.cache_header", f"seen: {shown}", "  ")
        yield f"  cache_header: {quoted(name.strip())}"
        if value.strip().lower() in ("true", "false", "1", "0", "yes", "no"):
            yes, no = {"t": ("True", "False"), "f": ("True", "False"), "y": ("yes", "no"), "n": ("yes", "no")}.get(
                value.strip().lower()[0], ("1", "0")
            )
            yield f"  cache_values: {{{in_quotes(yes)}: hit, {in_quotes(no)}: miss}}"

    def goals(self) -> Iterator[str]:
        read, probed = self.chosen.read, self.chosen.probed
        yield "# What has to improve (better), and what must not get worse by more than the margin (no-worse)."
        lifetime = self._changed.lifetime if self._changed is not None else ""
        if self._changed is not None:
            aim = (
                f"those of a {lifetime} time to live."
                if lifetime in ("longer", "shorter")
                else (f"nothing says what {self._changed.name} should improve: put `want: better` there.")
            )
            yield from self.guesses.comment("goals", aim)
        yield "goals:"
        if probed:
            yield f"  stale_reads: {{want: {'better' if lifetime == 'shorter' else 'no-worse'}, margin: 5 %}}"
        if read is not None and read.cache_header:
            yield f"  hit_ratio: {{want: {'better' if lifetime == 'longer' else 'no-worse'}, margin: 5 %}}"
        yield "  latency_p50_ms: {want: no-worse, margin: 3ms}"
        yield "  error_rate: {want: no-worse, margin: 1 %}"
        yield ""
        launch = self.discovery.launch
        if launch is not None and launch.port is not None:
            yield "# Its port is fixed: one arm runs at a time."
            yield "design: crossover"
        else:
            yield "design: before-after" if launch is None else "design: side-by-side"
        yield ""
        yield "# As long as the goals need, at most two minutes of load; `luckyhit check` says what it can decide."
        yield "plan: auto"

    def end(self) -> Iterator[str]:
        discovery = self.discovery
        yield from listed_comment(
            "Could not be found out:", tuple(dict.fromkeys((*discovery.unknown, *discovery.evidence.notes)))
        )
        skipped = [f"{route}: {reason}" for route, reason in discovery.skipped]
        yield from listed_comment("Not tried:", skipped)
