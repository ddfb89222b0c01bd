"""What has to hold in a case's change: that it is one, that it can be made on that target, and be taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from luckyhit.case.findings import FieldPath, Finding, shown
from luckyhit.case.placeholders import placeholder_names
from luckyhit.case.texts import CACHE_NAMES
from luckyhit.designs import design_of

if TYPE_CHECKING:
    from luckyhit.case.model import Case

_EVICTION = (
    "maxmemory maxmemory-policy maxmemory-samples maxmemory-eviction-tenacity maxmemory-clients "
    "active-expire-effort lazyfree-lazy-eviction lazyfree-lazy-expire lazyfree-lazy-server-del "
    "lazyfree-lazy-user-del hz dynamic-hz activedefrag active-defrag-ignore-bytes "
    "active-defrag-threshold-lower active-defrag-threshold-upper active-defrag-cycle-min "
    "active-defrag-cycle-max active-defrag-max-scan-fields lfu-log-factor lfu-decay-time "
    "tracking-table-max-keys"
)
_ENCODING = (
    "hash-max-listpack-entries hash-max-listpack-value hash-max-ziplist-entries hash-max-ziplist-value "
    "list-max-listpack-size list-max-ziplist-size list-compress-depth set-max-intset-entries "
    "set-max-listpack-entries set-max-listpack-value zset-max-listpack-entries zset-max-listpack-value "
    "zset-max-ziplist-entries zset-max-ziplist-value stream-node-max-bytes stream-node-max-entries"
)
_WATCHING = (
    "client-query-buffer-limit timeout tcp-keepalive latency-monitor-threshold slowlog-log-slower-than slowlog-max-len"
)
SETTINGS = frozenset(f"{_EVICTION} {_ENCODING} {_WATCHING}".split())
"""Settings that a case may change: none of them writes a file, lets somebody in, locks somebody out, or turns off
what keeps the data."""
EVICTING = ("maxmemory", "maxmemory-policy")
"""What these make the server evict can't be put back."""


def _env_change(case: Case) -> Iterator[Finding]:
    """A variable that the change sets is in `target.start.env` as `change.before` or not at all, nor passed on."""
    change, start = case.change, case.target.start
    if change.kind != "env" or start is None:
        return
    at: FieldPath = ("target", "start", "env", change.name)
    if change.name in start.env and start.env[change.name] != change.before:
        yield Finding(
            at, shown(start.env[change.name]), f"{_or_none(change.before)}, as in change.before (or leave it out)"
        )
    if change.name in start.pass_env:
        at = ("target", "start", "pass_env", start.pass_env.index(change.name))
        yield Finding(at, f"{change.name}, the variable that the change sets", "only variables that both arms share")


def _or_none(value: str | None) -> str:
    return "no value" if value is None else shown(value)


def _argument_change(case: Case) -> Iterator[Finding]:
    """The argument to change stands in `target.start.command`, as it is written in `change.before`, exactly once."""
    change, start = case.change, case.target.start
    if change.kind != "argument" or start is None:
        return
    count = start.command.count(change.before)
    if count != 1:
        found = f"{shown(change.before)}, which stands in target.start.command {count} times"
        yield Finding(("change", "before"), found, "an argument that stands there exactly once")


def _change_changes(case: Case) -> Iterator[Finding]:
    """The change's two values differ."""
    change = case.change
    if change.kind != "none" and change.before == change.after:
        found = "no value, as before" if change.after is None else f"{shown(change.after)}, as before"
        yield Finding(("change", "after"), found, "another value (a change that changes nothing is kind: none)")


def _change_needs_start(case: Case) -> Iterator[Finding]:
    """An environment variable, an argument or a revision is changed in a service that the run starts."""
    if case.target.start is None and case.change.kind in ("env", "argument", "revision"):
        expected = "none, http, command or cache-setting; or a target.start, which can be started another way"
        yield Finding(("change", "kind"), shown(case.change.kind), expected)


def _revision_of_source(case: Case) -> Iterator[Finding]:
    """A revision is one of the repository that `target.start.cwd` lies in, so that it is not `{workdir}`."""
    if case.change.kind == "revision" and case.target.start is not None and case.target.start.in_workdir:
        expected = "a directory of the service's repository (kind revision makes a worktree of it)"
        yield Finding(("target", "start", "cwd"), shown(case.target.start.cwd), expected)


def _allowed(case: Case) -> Iterator[Finding]:
    """A service that runs already is changed only with `target.allow_change`, which names its `environment`."""
    target = case.target
    if target.start is None and case.change.kind != "none" and not target.allow_change:
        expected = "allow_change: true, with the environment's name (or change.kind none, which observes)"
        yield Finding(("target", "allow_change"), "false, and a change of what runs at target.url", expected)
    if target.allow_change and target.url is None:
        yield Finding(("target", "allow_change"), "true without a url", "no such line: the service is the run's own")
    if target.allow_change and target.environment is None:
        yield Finding(("target", "environment"), "none", "the name of what will be changed, such as staging")


def _cache_setting(case: Case) -> Iterator[Finding]:
    """A cache's setting is one that loses no data, and the cache is known (`cache.url_env`, or the run's own). What
    makes a cache evict is changed in a cache that is dedicated, or the run's own."""
    change = case.change
    if change.kind != "cache-setting":
        return
    at: FieldPath = ("change", "name")
    if change.name not in SETTINGS:
        yield Finding(at, shown(change.name), f"one of {', '.join(sorted(SETTINGS))}")
    if case.target.start is None and case.cache.url_env is None:
        yield Finding(("cache", "url_env"), "none", "the variable that holds the URL of the cache to change")
    if change.name in EVICTING and case.cache.url_env is not None and not case.cache.dedicated:
        expected = "a cache with dedicated: true, or the run's own: what is evicted can't be put back"
        yield Finding(at, f"{change.name} of a cache that others use", expected)


def _commands(case: Case) -> Iterator[Finding]:
    """Commands are told which arm they change: side by side, each of them has `{base_url}`, `{port}`, `{cache_url}` or
    `{workdir}` in it. What a service that runs already doesn't have can't be filled in."""
    change = case.change
    if change.kind != "command":
        return
    for field in ("apply", "revert", "verify"):
        names = {name for text in getattr(change, field) for name in placeholder_names(text)}
        if design_of(case).isolated and not names & {"base_url", "port", "cache_url", "cache_port", "workdir"}:
            expected = "{base_url}, {port}, {cache_url} or {workdir} in an argument: which of the two stacks is meant"
            yield Finding(("change", field), "nothing that tells the arms apart", expected)
        if case.target.start is not None:
            continue
        unknown = names & {"port", "workdir"} | (names & {*CACHE_NAMES} if case.cache.url_env is None else set())
        if unknown:
            found = f"{{{sorted(unknown)[0]}}}"
            yield Finding(("change", field), found, "{base_url} or {python}: the run does not start this service")
    if change.restart and case.target.start is None:
        yield Finding(("change", "restart"), "true", "false: a service that runs already is not restarted")


CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    _change_changes,
    _change_needs_start,
    _revision_of_source,
    _allowed,
    _env_change,
    _argument_change,
    _cache_setting,
    _commands,
)
