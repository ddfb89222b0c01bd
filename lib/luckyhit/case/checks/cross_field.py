"""Checks of what has to hold between the fields of a case. Each names the field that is most likely wrong.

They run on a case whose fields are valid one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from math import ceil
from typing import TYPE_CHECKING

from luckyhit.case.checks import change_checks, freshness_checks, goal_checks, workload_checks
from luckyhit.case.checks.workload_checks import in_order
from luckyhit.case.findings import FieldPath, Finding, shown
from luckyhit.case.values.path_variables import REQUESTED, STARTED, variables_in
from luckyhit.case.values.placeholders import Placeholder, parse_template, placeholder_names
from luckyhit.case.values.units import format_duration, format_rate, rate_of_at_least
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
    """Everything in a case that doesn't fit together."""
    return [finding for check in _CHECKS for finding in check(case)]


def _one_target(case: Case) -> Iterator[Finding]:
    """A target has either `start` or `url`."""
    if (case.target.start is None) == (case.target.url is None):
        both = case.target.url is not None
        actual = "both start and url" if both else "neither start nor url"
        expected = "either start (a command) or url (a service that is already running)"
        yield Finding(("target", "url") if both else ("target",), actual, expected)


def _database_calls(case: Case) -> Iterator[Finding]:
    """Only one of `target.db_header` and `target.db_metric` names the number of database calls."""
    if case.target.db_header is not None and case.target.db_metric is not None:
        yield Finding(("target", "db_metric"), "db_header and db_metric", "one of them")


def _ignored(case: Case) -> Iterator[Finding]:
    """`target.config_ignore` needs `target.config`."""
    if case.target.config_ignore and case.target.config is None:
        yield Finding(("target", "config_ignore"), "entries without config", "config, the path that returns them")


def _cache_values(case: Case) -> Iterator[Finding]:
    """`target.cache_values` needs `target.cache_header`."""
    if case.target.cache_values and case.target.cache_header is None:
        yield Finding(
            ("target", "cache_values"), "values without a header", "cache_header, the header that has these values"
        )


def _reachable(case: Case) -> Iterator[Finding]:
    """A service that the run starts gets its port (`{port}`, or a fixed port) and its cache (`{cache_url}`,
    `{cache_port}`, or `cache.url_env`); one that caches only in its own processes gets no cache and has no
    `cache.clear`."""
    start = case.target.start
    if start is None:
        return
    names = case.start_names
    if "port" not in names and start.port is None:
        expected = "{port} in an argument or in a value of env, or a fixed port"
        yield Finding(("target", "start", "command"), "no {port}", expected)
    if not names & {"cache_url", "cache_port"} and case.cache.url_env is None and not case.caches_inside:
        expected = "{cache_url} or {cache_port} in an argument or in a value of env (or cache.url_env for a running "
        expected += "cache; or no cache.clear, if the service caches only in its own processes)"
        yield Finding(("target", "start", "env"), "no {cache_url}", expected)


def _shown_variables(case: Case) -> Iterator[Finding]:
    """A variable in a path or a command (`${NAME}`) is not a secret, since its value is shown."""
    for fields in (STARTED, REQUESTED):
        for name, path in variables_in(case.model_dump(warnings=False), fields):
            if is_secret_name(name):
                expected = "its name in target.start.pass_env or target.headers_env: values here are shown"
                yield Finding(path, f"${{{name}}}, which is a secret by its name", expected)


def _scope(case: Case) -> Iterator[Finding]:
    """There is a `cache.clear` or a `cache.purge`, unless the service caches only in its own processes. A key template
    contains a literal letter or digit, so that it can't match everything (unless `cache.dedicated`); none is
    repeated."""
    if not case.cache.clear and not case.cache.purge and not case.caches_inside:
        expected = "templates of the keys that may be cleared (or cache.purge; or no {cache_url}, if the service "
        expected += "caches only in its own processes)"
        yield Finding(("cache", "clear"), "nothing", expected)
    first_index: dict[str, int] = {}
    for index, template in enumerate(case.cache.clear):
        at = ("cache", "clear", index)
        literal = "".join(part for part in parse_template(template) if not isinstance(part, Placeholder))
        if not any(character.isalnum() for character in literal) and not case.cache.dedicated:
            expected = "a template with a literal name, such as product:{id} (or cache.dedicated: true)"
            yield Finding(at, f"{shown(template)}, which matches everything", expected)
        if template in first_index:
            yield Finding(at, f"{shown(template)} a second time", "each template once")
        first_index[template] = index


def _purge(case: Case) -> Iterator[Finding]:
    """A purge call has `keys` if and only if it contains `{key}`; it contains a literal name, so that it can't purge
    everything (unless `cache.dedicated`). A cache with its own address needs `cache.purge.url`."""
    for index, purge in enumerate(case.cache.purge):
        at: FieldPath = ("cache", "purge", index)
        texts = [purge.path, *purge.headers.values()]
        keyed = any("key" in placeholder_names(text) for text in texts)
        if keyed and purge.keys is None:
            yield Finding((*at, "keys"), "no keys", "first and last, the values of {key}")
        if purge.keys is not None:
            yield from in_order(purge.keys, (*at, "keys", "last"))
            if not keyed:
                yield Finding((*at, "path"), "no {key}", "{key} in the path or in a header (or no keys)")
            elif purge.keys.last - purge.keys.first >= MOST_PURGES:
                count = purge.keys.last - purge.keys.first + 1
                yield Finding((*at, "keys"), f"{count:,} calls", f"at most {MOST_PURGES:,} calls before each block")
        named = [re.sub(r"[^A-Za-z0-9]", "", re.sub(r"\{\w*\}", "0", text)) for text in texts]
        if (not any(named) or re.search(r"(?<!\S)\^?/?\.?\*\$?(?!\S)", " ".join(texts))) and not case.cache.dedicated:
            expected = "a path or an expression with a literal name (or cache.dedicated: true)"
            yield Finding((*at, "path"), f"{shown(purge.path)}, which may purge everything", expected)
        if purge.url is None and case.target.url is None and case.target.start is None:
            yield Finding((*at, "url"), "no url", "the cache's base URL")


def _limits(case: Case) -> Iterator[Finding]:
    """The load stays within `target.limits`: its rate, and its duration with every wash-out."""
    ceilings, plan = case.target.ceilings, case.plan
    default = " (the default for a url; set another in target.limits)"
    peak = case.workload.peak_rate
    if ceilings.rate is not None and peak is not None and peak > ceilings.rate * (1 + 1e-9):
        why = default if case.target.limits.rate is None else ", as in target.limits.rate"
        yield Finding(("workload", "rate"), format_rate(peak), f"at most {format_rate(ceilings.rate)}{why}")
    if ceilings.duration is not None and not design_of(case).isolated and not plan.left_out:
        seconds = design_of(case).longest_s(plan)
        if seconds > ceilings.duration * (1 + 1e-9):
            why = default if case.target.limits.duration is None else ", as in target.limits.duration"
            expected = f"at most {format_duration(ceilings.duration)} of load, wash-outs included{why}"
            yield Finding(("plan", "blocks"), f"up to {format_duration(round(seconds, 3))}", expected)


def _isolated(case: Case) -> Iterator[Finding]:
    """`side-by-side` needs one stack per arm: no `target.url`, no fixed port, no `cache.url_env`."""
    design = design_of(case)
    if not design.isolated:
        return
    others = design_ids(lambda other: not other.isolated)
    expected = f"{others}, since there is only one ({design.id} needs one stack per arm)"
    if case.target.url is not None and case.target.start is None:
        yield Finding(("design",), f"{design.id} with a target.url", expected)
    if case.target.start is not None and case.target.start.port is not None:
        yield Finding(("design",), f"{design.id} with a fixed target.start.port", expected)
    if case.cache.url_env is not None:
        yield Finding(("design",), f"{design.id} with a cache.url_env", expected)


def _stops_early(case: Case) -> Iterator[Finding]:
    """`plan.stop_early` needs arms that can be compared before the last block."""
    design = design_of(case)
    if case.plan.stop_early and not design.may_stop_early:
        expected = f"false with {design.id}: {design.words.no_early_stop}"
        yield Finding(("plan", "stop_early"), "true", expected)


def _ceiling(case: Case) -> Iterator[Finding]:
    """`plan.at_most` needs `auto: true`: it limits a plan that is sized."""
    if case.plan.at_most is not None and not case.plan.auto:
        yield Finding(("plan", "at_most"), "at_most without auto", "auto: true")


def _length(case: Case) -> Iterator[Finding]:
    """The whole run takes at most six hours and fifty million requests."""
    plan = case.plan
    seconds = plan.ceiling if plan.left_out else design_of(case).load_s(plan)
    if seconds > LONGEST_RUN_S:
        expected = f"at most {LONGEST_RUN_S / 3600:g} hours"
        yield Finding(("plan", "blocks"), f"a run of {seconds / 3600:.1f} hours", expected)
    whole = [(1, plan.baseline), (plan.blocks * 2, plan.block), (1, plan.after_rollback)]
    parts = [(times, case.workload.requests_in(plan.warmup + length)) for times, length in whole]
    requests = sum(times * (count or 0.0) for times, count in parts)
    if requests > MOST_REQUESTS:
        expected = f"at most {MOST_REQUESTS:,}"
        yield Finding(("workload", "rate"), f"about {requests:,.0f} requests in the whole run", expected)


def _blocks_hold_enough(case: Case) -> Iterator[Finding]:
    """The baseline, each block, and the block after the rollback have at least twenty requests."""
    for name in ("baseline", "block", "after_rollback"):
        seconds = getattr(case.plan, name)
        if name in case.plan.left_out:
            continue
        warmup = case.plan.warmup
        upto, before = case.workload.requests_in(warmup + seconds), case.workload.requests_in(warmup)
        if upto is not None and before is not None and upto - before < FEWEST_REQUESTS_IN_A_BLOCK - 1e-6:
            rate = case.workload.rate
            pace = f"at {format_rate(rate)}" if rate else f"with {upto - before:.0f} requests, by workload.stages"
            actual = f"{format_duration(seconds)} {pace}"
            expected = f"at least {FEWEST_REQUESTS_IN_A_BLOCK} requests"
            if rate:
                longer_s = ceil(FEWEST_REQUESTS_IN_A_BLOCK / rate)
                longer = f"plan.{name}: {format_duration(longer_s)}, or " if longer_s < LONGEST_RUN_S / 4 else ""
                faster = rate_of_at_least(FEWEST_REQUESTS_IN_A_BLOCK / seconds)
                expected += f", as with {longer}workload.rate: {faster}"
            yield Finding(("plan", name), actual, expected)


_CHECKS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    *change_checks.CHECKS,
    _one_target,
    _ignored,
    _cache_values,
    _database_calls,
    _reachable,
    _shown_variables,
    *workload_checks.CHECKS,
    *freshness_checks.CHECKS,
    *goal_checks.CHECKS,
    _scope,
    _purge,
    _isolated,
    _limits,
    _stops_early,
    _ceiling,
    _length,
    _blocks_hold_enough,
)
