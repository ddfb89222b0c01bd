"""What has to hold between the fields of a case. Each check names the field that is most likely to be wrong.

A check reads the case as if it were right. Where a field it needs has a problem of its own, reading it raises
`FieldAbsent` and that check stops there; so these run on a case with other problems too, and nothing is found twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from luckyhit.case.checks import change_checks, freshness_checks, goal_checks, workload_checks
from luckyhit.case.findings import FieldAbsent, FieldPath, Finding, get, shown
from luckyhit.case.values.path_variables import REQUESTED, STARTED, variables_in
from luckyhit.case.values.placeholders import Placeholder, parse_template, placeholder_names
from luckyhit.case.values.units import format_duration, format_rate
from luckyhit.designs import design_ids, design_of
from luckyhit.scrub.secrets import is_secret_name

if TYPE_CHECKING:
    from luckyhit.case.model import Case

LONGEST_RUN_S = 6 * 3600.0
MOST_REQUESTS = 50_000_000
FEWEST_REQUESTS_IN_A_BLOCK = 20
MOST_PURGES = 2_000


def rules() -> list[str]:
    """What each check asks for, one sentence each, for the reference."""
    return [" ".join((check.__doc__ or "").split()) for check in _CHECKS]


def findings_in(case: Case) -> list[Finding]:
    """Everything that doesn't fit together in a case, or in what could be salvaged of one."""
    findings: list[Finding] = []
    for check in _CHECKS:
        try:
            # Not extend(check(case)): what was found before a field turned out to be absent counts.
            for finding in check(case):
                findings.append(finding)
        except FieldAbsent:
            continue
    return findings


def _one_target(case: Case) -> Iterator[Finding]:
    """A target has either `start` or `url`."""
    if (case.target.start is None) == (case.target.url is None):
        both = case.target.url is not None
        fields = "both start and url" if both else "neither start nor url"
        expected = "one of them: start (a command) or url (a service that already runs)"
        yield Finding(("target", "url") if both else ("target",), fields, expected)


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
    (`{cache_url}`, `{cache_port}`, or `cache.url_env`); a service that caches in its own processes alone is told of
    none, and has no `cache.clear`."""
    start = case.target.start
    if start is None:
        return
    names = case.start_names
    if "port" not in names and start.port is None:
        expected = "{port} in an argument or in a value of env: where the service has to listen (or a fixed port)"
        yield Finding(("target", "start", "command"), "no {port}", expected)
    if not names & {"cache_url", "cache_port"} and case.cache.url_env is None and not case.caches_inside:
        expected = (
            "{cache_url} in an argument or in a value of env, or {cache_port} (or cache.url_env, where the cache "
        )
        expected += "already runs; or no cache.clear, where the service caches in its own processes alone)"
        yield Finding(("target", "start", "env"), "no {cache_url}", expected)


def _shown_variables(case: Case) -> Iterator[Finding]:
    """A variable in a path or a command (`${NAME}`) holds no secret, since its value is shown."""
    for fields in (STARTED, REQUESTED):
        for name, path in variables_in(case.model_dump(warnings=False), fields):
            if is_secret_name(name):
                expected = "its name in target.start.pass_env or target.headers_env: what is written here is shown"
                yield Finding(path, f"${{{name}}}, a variable that holds a secret", expected)


def _scope(case: Case) -> Iterator[Finding]:
    """Something may be cleared: `cache.clear` or `cache.purge`, unless the service caches in its own processes alone. A
    key template has a letter or digit of its own, so that it can't match everything (unless `cache.dedicated`); none is
    there twice."""
    if not case.cache.clear and not case.cache.purge and not case.caches_inside:
        expected = "templates of the keys that may be cleared (or cache.purge; or no {cache_url} either, where the "
        expected += "service caches in its own processes alone)"
        yield Finding(("cache", "clear"), "nothing", expected)
    first_index: dict[str, int] = {}
    for index, template in enumerate(case.cache.clear):
        at = ("cache", "clear", index)
        literal = "".join(part for part in parse_template(template) if not isinstance(part, Placeholder))
        if not any(character.isalnum() for character in literal) and not case.cache.dedicated:
            expected = "a template with a name of its own, such as product:{id} (or cache.dedicated: true)"
            yield Finding(at, f"{shown(template)}, which would match everything", expected)
        if template in first_index:
            yield Finding(at, f"{shown(template)} a second time", "each template once")
        first_index[template] = index


def _purge(case: Case) -> Iterator[Finding]:
    """A purge call says `{key}` where it has `keys`, and only there; it names something, so that it can't purge
    everything (unless `cache.dedicated`). A cache of its own address is purged with `cache.purge.url`."""
    for index, purge in workload_checks.present(case.cache.purge):
        at: FieldPath = ("cache", "purge", index)
        texts = [purge.path, *purge.headers.values()]
        keyed = any("key" in placeholder_names(text) for text in texts)
        if keyed and purge.keys is None:
            yield Finding((*at, "keys"), "no keys", "first and last: what {key} stands for")
        if purge.keys is not None:
            yield from workload_checks.in_order(purge.keys, (*at, "keys", "last"))
            if not keyed:
                yield Finding((*at, "path"), "no {key}", "{key} in the path or in a header (or no keys)")
            elif purge.keys.last - purge.keys.first >= MOST_PURGES:
                count = purge.keys.last - purge.keys.first + 1
                yield Finding((*at, "keys"), f"{count:,} calls", f"{MOST_PURGES:,} calls before each block at most")
        named = [re.sub(r"[^A-Za-z0-9]", "", re.sub(r"\{\w*\}", "0", text)) for text in texts]
        if (not any(named) or re.search(r"(?<!\S)\^?/?\.?\*\$?(?!\S)", " ".join(texts))) and not case.cache.dedicated:
            expected = "a path or an expression with a name of its own (or cache.dedicated: true)"
            yield Finding((*at, "path"), f"{shown(purge.path)}, which may purge everything", expected)
        if purge.url is None and case.target.url is None and case.target.start is None:
            yield Finding((*at, "url"), "no address", "the cache's base URL")


def _limits(case: Case) -> Iterator[Finding]:
    """The load stays within `target.limits`: its rate, and the time it takes with every wash-out."""
    ceilings, plan = case.target.ceilings, case.plan
    default = " (the default for a url: say another in target.limits)"
    peak = case.workload.peak_rate
    if ceilings.rate is not None and peak is not None and peak > ceilings.rate * (1 + 1e-9):
        why = default if case.target.limits.rate is None else ", as in target.limits.rate"
        yield Finding(("workload", "rate"), format_rate(peak), f"{format_rate(ceilings.rate)} at most{why}")
    if ceilings.duration is not None and not design_of(case).isolated and not plan.left_out:
        seconds = design_of(case).longest_s(plan)
        if seconds > ceilings.duration * (1 + 1e-9):
            why = default if case.target.limits.duration is None else ", as in target.limits.duration"
            expected = f"{format_duration(ceilings.duration)} of load at most, wash-outs included{why}"
            yield Finding(("plan", "blocks"), f"up to {format_duration(round(seconds, 3))}", expected)


def _isolated(case: Case) -> Iterator[Finding]:
    """`side-by-side` needs a stack for each arm: no `target.url`, no fixed port, no `cache.url_env`."""
    design = design_of(case)
    if not design.isolated:
        return
    others = design_ids(lambda other: not other.isolated)
    expected = f"{others}, since there is only one of it ({design.id} needs a stack for each arm)"
    if case.target.url is not None and case.target.start is None:
        yield Finding(("design",), f"{design.id}, and a target.url", expected)
    if case.target.start is not None and case.target.start.port is not None:
        yield Finding(("design",), f"{design.id}, and a fixed target.start.port", expected)
    if case.cache.url_env is not None:
        yield Finding(("design",), f"{design.id}, and a cache.url_env", expected)


def _stops_early(case: Case) -> Iterator[Finding]:
    """`plan.stop_early` needs arms that can be compared before the last block."""
    design = design_of(case)
    if case.plan.stop_early and not design.may_stop_early:
        expected = f"false with {design.id}: {design.words.no_early_stop}"
        yield Finding(("plan", "stop_early"), "true", expected)


def _ceiling(case: Case) -> Iterator[Finding]:
    """`plan.at_most` needs `auto: true`: a plan with all its numbers is as long as they say."""
    if get(case.plan, "at_most") is not None and get(case.plan, "auto") is False:
        yield Finding(("plan", "at_most"), "a ceiling for a plan that is not sized", "auto: true too")


def _length(case: Case) -> Iterator[Finding]:
    """The whole run takes six hours and fifty million requests at most."""
    plan = case.plan
    seconds = plan.ceiling if plan.left_out else design_of(case).load_s(plan)
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
        if seconds is None or name in case.plan.left_out:
            continue
        warmup = case.plan.warmup
        upto, before = case.workload.requests_in(warmup + seconds), case.workload.requests_in(warmup)
        if upto is not None and before is not None and upto - before < FEWEST_REQUESTS_IN_A_BLOCK - 1e-6:
            rate = case.workload.rate
            pace = f"at {format_rate(rate)}" if rate else f"with {upto - before:.0f} requests, by workload.stages"
            value = f"{format_duration(seconds)} {pace}"
            yield Finding(("plan", name), value, f"{FEWEST_REQUESTS_IN_A_BLOCK} requests or more")


_CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    *change_checks.CHECKS,
    _one_target,
    _cache_values,
    _database_calls,
    _reachable,
    _shown_variables,
    workload_checks.keys_in_order,
    workload_checks.which_keys,
    workload_checks.pace,
    workload_checks.route_names,
    workload_checks.route_templates,
    workload_checks.versions_shown,
    *freshness_checks.CHECKS,
    goal_checks.stale_goals,
    goal_checks.routes_of_goals,
    goal_checks.parts_probed,
    goal_checks.controls,
    goal_checks.margins,
    goal_checks.limits,
    _scope,
    _purge,
    _isolated,
    _limits,
    _stops_early,
    _ceiling,
    _length,
    _blocks_hold_enough,
)
