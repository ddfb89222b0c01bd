"""What has to hold between the fields of a case. Each check names the field that is most likely to be wrong.

A check reads the case as if it were right. Where a field it needs has a problem of its own, reading it raises
`Absent` and that check stops there; so these run on a case with other problems too, and nothing is found twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from luckyhit.case import freshness_checks, goal_checks, workload_checks
from luckyhit.case.findings import Absent, FieldPath, Finding, get, shown
from luckyhit.case.placeholders import Placeholder, parse_template, placeholder_names
from luckyhit.case.units import format_duration, format_rate

if TYPE_CHECKING:
    from luckyhit.case.model import Case

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
    workload_checks.keys_in_order,
    workload_checks.which_keys,
    workload_checks.pace,
    workload_checks.route_names,
    workload_checks.route_templates,
    workload_checks.versions_shown,
    *freshness_checks.CHECKS,
    goal_checks.stale_goals,
    goal_checks.margins,
    goal_checks.limits,
    _scope,
    _isolated,
    _length,
    _blocks_hold_enough,
)
