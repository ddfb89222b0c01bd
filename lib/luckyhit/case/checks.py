"""What has to hold between the fields of a case. Each check names the field that is most likely to be wrong.

A check reads the case as if it were right. Where a field it needs has a problem of its own, reading it raises
`Absent` and that check stops there; so these run on a case with other problems too, and nothing is found twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from luckyhit.case import goal_checks
from luckyhit.case.findings import Absent, FieldPath, Finding, get, shown
from luckyhit.case.placeholders import Placeholder, PlaceholderError, parse_template, placeholder_names
from luckyhit.case.texts import WORKLOAD_NAMES, WRITE_NAMES, wrong_placeholder
from luckyhit.case.units import format_duration, format_rate

if TYPE_CHECKING:
    from luckyhit.case.model import Case, Freshness, Keys, ProbeKeys, Route

LONGEST_RUN_S = 6 * 3600.0
MOST_REQUESTS = 50_000_000
FEWEST_REQUESTS_IN_A_BLOCK = 20


def rules() -> list[str]:
    """What each check asks for, one sentence each, for the reference."""
    return [" ".join((check.__doc__ or "").split()) for check in _CHECKS]


def findings_in(case: Case) -> list[Finding]:
    """Everything that doesn't fit together in a case, or in what could be salvaged of one."""
    found: list[Finding] = []
    for check in _CHECKS:
        try:
            # Not extend(check(case)): what was found before a field turned out to be absent counts.
            for finding in check(case):
                found.append(finding)
        except Absent:
            continue
    return found


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
    """An environment variable or an argument is changed in a service that the run starts (`target.start`)."""
    if case.target.start is None and case.change.kind != "none":
        expected = "none, or a target.start: only a service that the run starts itself can be given another setting"
        yield Finding(("change", "kind"), shown(case.change.kind), expected)


def _one_target(case: Case) -> Iterator[Finding]:
    """A target has either `start` or `url`."""
    if (case.target.start is None) == (case.target.url is None):
        both = case.target.url is not None
        found = "both start and url" if both else "neither start nor url"
        expected = "one of them: start (a command) or url (a service that already runs)"
        yield Finding(("target", "url") if both else ("target",), found, expected)


def _database_calls(case: Case) -> Iterator[Finding]:
    """The number of database calls stands in one place: `target.db_header` or `target.db_metric`."""
    if case.target.db_header is not None and case.target.db_metric is not None:
        yield Finding(("target", "db_metric"), "db_header and db_metric", "one of them")


def _cache_values(case: Case) -> Iterator[Finding]:
    """`target.cache_values` comes with `target.cache_header`."""
    if case.target.cache_values and case.target.cache_header is None:
        yield Finding(("target", "cache_values"), "values without a header", "cache_header too: where they stand")


def _reachable(case: Case) -> Iterator[Finding]:
    """A service that the run starts is told where to listen (`{port}`, or a fixed port), and where its cache is
    (`{cache_url}`, or `cache.url_env`)."""
    start = case.target.start
    if start is None:
        return
    given: list[str] = [*start.command, *start.env.values()]
    given += [value for value in (getattr(case.change, "before", None), getattr(case.change, "after", None)) if value]
    names = {name for text in given for name in placeholder_names(text)}
    if "port" not in names and start.port is None:
        expected = "{port} in an argument or in a value of env: where the service has to listen (or a fixed port)"
        yield Finding(("target", "start", "command"), "no {port}", expected)
    if "cache_url" not in names and case.cache.url_env is None:
        expected = "{cache_url} in an argument or in a value of env (or cache.url_env, where the cache already runs)"
        yield Finding(("target", "start", "env"), "no {cache_url}", expected)


def _keys_in_order(case: Case) -> Iterator[Finding]:
    """`last` is not before `first`, in the keys of each route."""
    for index, route in _present(case.workload.routes):
        if (keys := get(route, "keys")) is not None:
            yield from _in_order(keys, ("workload", "routes", index, "keys", "last"))


def _probe_keys_in_order(case: Case) -> Iterator[Finding]:
    """`last` is not before `first`, in the keys of the probe."""
    if case.freshness is not None:
        yield from _in_order(case.freshness.keys, ("freshness", "keys", "last"))


def _in_order(keys: Keys | ProbeKeys, path: FieldPath) -> Iterator[Finding]:
    if keys.first is not None and keys.last is not None and keys.last < keys.first:
        yield Finding(path, str(keys.last), f"{keys.first} (first) or more")


def _which_keys(case: Case) -> Iterator[Finding]:
    """A route's keys are a range or a file; `hot` comes with `hot-set`, and leaves keys that aren't hot."""
    for index, route in _present(case.workload.routes):
        keys, at = get(route, "keys"), ("workload", "routes", index, "keys")
        if keys is None:
            continue
        ranged = [name for name in ("first", "last") if get(keys, name) is not None]
        if get(keys, "file") is not None and ranged:
            yield Finding((*at, "file"), f"file and {ranged[0]}", "either first and last, or file")
        elif get(keys, "file") is None and len(ranged) < 2:
            yield Finding(at, f"{ranged[0]} alone" if ranged else "no keys", "first and last, or file")
        hot = get(keys, "hot")
        if (hot is not None) != (get(keys, "popularity") == "hot-set"):
            expected = "hot: how many keys are hot" if hot is None else "popularity: hot-set (or leave hot out)"
            yield Finding((*at, "hot"), "no hot" if hot is None else f"hot without hot-set ({hot})", expected)
        elif hot is not None and len(ranged) == 2 and hot > keys.last - keys.first:
            yield Finding((*at, "hot"), f"{hot} of {keys.last - keys.first + 1} keys", "fewer: some keys are not hot")


def _pace(case: Case) -> Iterator[Finding]:
    """The workload has a rate, or stages, or an access log with its own gaps: one of them."""
    workload, at = case.workload, ("workload", "rate")
    given = [name for name in ("rate", "stages") if get(workload, name)]
    replay = get(workload, "replay")
    if replay is not None and get(replay, "timing") == "log":
        if given:
            expected = "neither rate nor stages, or replay.timing: rate"
            yield Finding(("workload", given[0]), f"{given[0]}, and a log with its own gaps", expected)
    elif len(given) != 1:
        found = "rate and stages" if given else "neither rate nor stages"
        yield Finding(at, found, "one of them: rate such as 100/s, or stages")
    if replay is not None and get(replay, "timing") == "rate" and get(replay, "speed") not in (None, 1.0):
        yield Finding(("workload", "replay", "speed"), "a speed, and timing: rate", "speed with timing: log only")


def _present(routes: list[Route]) -> Iterator[tuple[int, Route]]:
    """Routes with their index; those that are no mapping at all are passed over."""
    return ((index, route) for index, route in enumerate(routes) if route is not None)


def _route_names(case: Case) -> Iterator[Finding]:
    """Each route has a name of its own."""
    seen: dict[str, int] = {}
    for index, route in _present(case.workload.routes):
        name = get(route, "name")
        if name in seen:
            found = f"{shown(name)}, as workload.routes[{seen[name]}]"
            yield Finding(("workload", "routes", index, "name"), found, "a name of its own for each route")
        elif name is not None:
            seen[name] = index


def _route_templates(case: Case) -> Iterator[Finding]:
    """A route with `{key}` has keys, and one with keys has `{key}`; what stands in braces is known; GET has no body."""
    for index, route in _present(case.workload.routes):
        at: FieldPath = ("workload", "routes", index)
        try:
            yield from _body(route.body, (*at, "body"), WORKLOAD_NAMES)
            if route.body is not None and route.method in ("GET", "HEAD"):
                yield Finding((*at, "body"), f"a body with {route.method}", "no body, or a method such as POST")
            names = {*placeholder_names(route.path), *_names_in(route.body), *_names_in(list(route.headers.values()))}
            replayed = get(case.workload, "replay") is not None
            if "key" in names and route.keys is None and not replayed:
                yield Finding((*at, "path"), "{key}, but no keys", "keys too: which ones to ask for")
            if replayed and route.keys is not None:
                yield Finding((*at, "keys"), "keys, and a log to replay", "no keys: the log says which")
            elif "key" not in names and route.keys is not None:
                yield Finding((*at, "keys"), "keys, but no {key} in path, headers or body", "{key} where a key belongs")
        except Absent:
            continue


def _body(value: Any, path: FieldPath, names: tuple[str, ...]) -> Iterator[Finding]:
    """Each text of a JSON body that can't be filled in, at its own place."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _body(item, (*path, key), names)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _body(item, (*path, index), names)
    elif isinstance(value, str):
        try:
            unknown = sorted(set(placeholder_names(value)) - set(names))
        except PlaceholderError as error:
            yield Finding(path, shown(value), str(error))
            return
        if unknown:
            yield Finding(path, shown(value), wrong_placeholder(names, unknown[0]))


def _names_in(body: Any) -> set[str]:
    try:
        return set(placeholder_names(body))
    except PlaceholderError:
        return set()


def _probe_templates(case: Case) -> Iterator[Finding]:
    """The probe's write has `{key}` and `{version}` in its path or body, and no other name in braces."""
    probe = case.freshness
    if probe is None:
        return
    write = probe.write
    yield from _body(write.body, ("freshness", "write", "body"), WRITE_NAMES)
    names = {*placeholder_names(write.path), *_names_in(write.body)}
    missing = [name for name in WRITE_NAMES if name not in names]
    if missing:
        found = " and ".join(f"no {{{name}}}" for name in missing) + " in path or body"
        yield Finding(("freshness", "write"), found, "a write that says which key, and which version")


def _probe_reads(case: Case) -> Iterator[Finding]:
    """The probe's read has `{key}` in its path."""
    probe = case.freshness
    if probe is not None and "key" not in placeholder_names(probe.read.path):
        yield Finding(("freshness", "read", "path"), shown(probe.read.path), "a path with {key} in it")


def _probe_horizon(case: Case) -> Iterator[Finding]:
    """The probe's horizon is longer than the bound `within`."""
    probe = case.freshness
    if probe is not None and probe.horizon <= probe.within:
        at = ("freshness", "horizon")
        expected = f"more than within ({format_duration(probe.within)}): reads past the bound are what counts"
        yield Finding(at, format_duration(probe.horizon), expected)


def _probe_fits_block(case: Case) -> Iterator[Finding]:
    """The probe's horizon is shorter than a block, and its rate makes a write in each block."""
    probe, plan = case.freshness, case.plan
    if probe is None:
        return
    if probe.horizon >= plan.block:
        expected = f"less than plan.block ({format_duration(plan.block)}): later reads would fall outside of it"
        yield Finding(("freshness", "horizon"), format_duration(probe.horizon), expected)
    if probe.rate * plan.block < 1:
        expected = f"one write or more in each block of {format_duration(plan.block)}"
        yield Finding(("freshness", "rate"), format_rate(probe.rate), expected)


def _probe_key_count(case: Case) -> Iterator[Finding]:
    """The probe has keys enough not to write one again while it is still watched: rate times horizon."""
    probe = case.freshness
    if probe is None:
        return
    count, needed = _count(probe), probe.rate * probe.horizon
    if 0 < count < needed:
        expected = f"{needed:.0f} keys or more (rate times horizon), so that none is written again while it is watched"
        yield Finding(("freshness", "keys"), f"{count} keys", expected)


def _count(probe: Freshness) -> int:
    return probe.keys.last - probe.keys.first + 1


def _probe_keys_apart(case: Case) -> Iterator[Finding]:
    """The probe's keys are apart from those of each route of the workload."""
    probe = case.freshness
    if probe is None:
        return
    for index, route in _present(case.workload.routes):
        keys = get(route, "keys")
        if keys is None:
            continue
        try:
            if keys.first is None or keys.last is None:
                continue
            if keys.first <= probe.keys.last and probe.keys.first <= keys.last:
                found = f"{probe.keys.first} to {probe.keys.last}"
                expected = f"keys apart from those of workload.routes[{index}] ({keys.first} to {keys.last})"
                yield Finding(("freshness", "keys"), found, expected)
        except Absent:
            continue


def _scope(case: Case) -> Iterator[Finding]:
    """A key template has a letter or digit of its own, so that it can't match everything (unless `cache.dedicated`);
    none is there twice."""
    seen: dict[str, int] = {}
    for index, template in enumerate(case.cache.clear):
        at = ("cache", "clear", index)
        literal = "".join(part for part in parse_template(template) if not isinstance(part, Placeholder))
        if not any(character.isalnum() for character in literal) and not case.cache.dedicated:
            expected = "a template with a name of its own, such as product:{id} (or cache.dedicated: true)"
            yield Finding(at, f"{shown(template)}, which would match everything", expected)
        if template in seen:
            yield Finding(at, f"{shown(template)} a second time", "each template once")
        seen[template] = index


def _isolated(case: Case) -> Iterator[Finding]:
    """`side-by-side` needs a stack for each arm: no `target.url`, no fixed port, no `cache.url_env`."""
    if case.design != "side-by-side":
        return
    expected = "crossover or before-after, since there is only one of it (side-by-side needs a stack for each arm)"
    if case.target.url is not None and case.target.start is None:
        yield Finding(("design",), "side-by-side, and a target.url", expected)
    if case.target.start is not None and case.target.start.port is not None:
        yield Finding(("design",), "side-by-side, and a fixed target.start.port", expected)
    if case.cache.url_env is not None:
        yield Finding(("design",), "side-by-side, and a cache.url_env", expected)


def _length(case: Case) -> Iterator[Finding]:
    """The whole run takes six hours and fifty million requests at most."""
    plan = case.plan
    blocks = plan.blocks * (1 if case.design == "side-by-side" else 2)
    seconds = plan.baseline + blocks * plan.block + plan.after_rollback + (blocks + 2) * plan.warmup
    if seconds > LONGEST_RUN_S:
        expected = f"a run of {LONGEST_RUN_S / 3600:g} hours at most"
        yield Finding(("plan", "blocks"), f"a run of {seconds / 3600:.1f} hours", expected)
    whole = [(1, plan.baseline), (plan.blocks * 2, plan.block), (1, plan.after_rollback)]
    parts = [(times, case.workload.requests_in(plan.warmup + length)) for times, length in whole]
    requests = sum(times * (count or 0.0) for times, count in parts)
    if requests > MOST_REQUESTS:
        expected = f"{MOST_REQUESTS:,} at most"
        yield Finding(("workload", "rate"), f"about {requests:,.0f} requests in the whole run", expected)


def _blocks_hold_enough(case: Case) -> Iterator[Finding]:
    """The baseline, a block, and the block after the rollback hold twenty requests or more each."""
    for name in ("baseline", "block", "after_rollback"):
        seconds = get(case.plan, name)
        if seconds is None:
            continue
        warmup = case.plan.warmup
        upto, before = case.workload.requests_in(warmup + seconds), case.workload.requests_in(warmup)
        if upto is not None and before is not None and upto - before < FEWEST_REQUESTS_IN_A_BLOCK - 1e-6:
            rate = case.workload.rate
            pace = f"at {format_rate(rate)}" if rate else f"with {upto - before:.0f} requests, by workload.stages"
            found = f"{format_duration(seconds)} {pace}"
            yield Finding(("plan", name), found, f"{FEWEST_REQUESTS_IN_A_BLOCK} requests or more")


_CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    _change_changes,
    _change_needs_start,
    _env_change,
    _argument_change,
    _one_target,
    _cache_values,
    _database_calls,
    _reachable,
    _keys_in_order,
    _which_keys,
    _pace,
    _probe_keys_in_order,
    _route_names,
    _route_templates,
    _probe_templates,
    _probe_reads,
    _probe_horizon,
    _probe_fits_block,
    _probe_key_count,
    _probe_keys_apart,
    goal_checks.stale_goals,
    goal_checks.margins,
    goal_checks.limits,
    _scope,
    _isolated,
    _length,
    _blocks_hold_enough,
)
