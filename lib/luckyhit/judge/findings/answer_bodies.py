"""Findings on bodies compared by their hashes: the same request answered differently by both arms, or in turns by one.

Named only where the bytes show anything: on routes whose bodies stay the same otherwise, and where chance would make
one in a million runs look so.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import gammaln, logsumexp

from luckyhit.designs import design_of
from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings.run_finding import Facts, run_finding
from luckyhit.judge.table.rows import ARMS
from luckyhit.records import CountOf, RunFinding

RARE = 1e-6
FEWEST_DIFFERENT, FEWEST_MADE = 10, 20
FEWEST_FLAPPING, FEWEST_STILL = 5, 30
_SAME = 0.95
_SELDOM = 0.01
_SLOTS = """CREATE OR REPLACE TABLE slots AS
    SELECT b.route, b.key, b.block, b.slot, b.due_ns, b.own AND a.own AS made, b.epoch = 0 AND a.epoch = 0 AS unwritten,
        b.hash <> a.hash AS differ, b.version <> a.version AS version_differs, b.version IS NOT NULL AS versioned,
        CASE WHEN b.hit AND a.hit THEN 'both_hit' WHEN b.hit THEN 'before_hit' WHEN a.hit THEN 'after_hit'
            ELSE 'neither_hit' END AS cache
    FROM answers b JOIN answers a ON b.block = a.block AND b.slot = a.slot AND b.arm = 0 AND a.arm = 1
    WHERE b.measured"""
_CHANGING = """CREATE OR REPLACE TABLE changing AS SELECT arm, block, url, epoch FROM answers
    WHERE quiet GROUP BY ALL HAVING min(hash) <> max(hash) AND count(*) >= 3"""
_SERIES = """CREATE OR REPLACE TABLE series AS
    SELECT arm, block, route, key, epoch, count(*) AS n, count(DISTINCT hash) AS bodies,
        count(*) FILTER (hash <> earlier) AS turns, turns + 1 - bodies AS back,
        min(due_ns) FILTER (hash <> earlier) AS at_ns, bool_or(known) AS known
    FROM (SELECT *, lag(hash) OVER (PARTITION BY arm, block, url, epoch ORDER BY due_ns, slot) AS earlier
        FROM answers WHERE quiet AND arm >= 0
            AND (arm, block, url, epoch) IN (SELECT (arm, block, url, epoch) FROM changing))
    GROUP BY arm, block, route, key, epoch"""
_WATCHED = """SELECT route, arm, epoch > 0 AS written, count(*), bool_or(known) FROM (
    SELECT route, arm, epoch, bool_or(known) AS known FROM answers WHERE quiet GROUP BY route, arm, block, url, epoch
    HAVING count(*) >= 3) GROUP BY ALL"""


def arms_differ(evidence: Evidence) -> RunFinding | None:
    """The same request to both arms at the same time, and different bytes in the answers: where both arms made their
    answer anew, they gave the same nearly always; and no write of the key had come before in the block, so that old
    data can't be the reason."""
    answers = evidence.answers
    if answers is None or len(evidence.arms) < 2 or not design_of(evidence.case).arms_together:
        return None
    answers.database.execute(_SLOTS)
    routes = []
    for route, made, made_differ, others, others_differ in answers.rows(
        """SELECT s.route, count(*) FILTER (made), count(*) FILTER (made AND differ),
            count(*) FILTER (NOT made AND unwritten),
            count(*) FILTER (NOT made AND unwritten AND differ AND NOT coalesce(version_differs, false))
        FROM slots s SEMI JOIN steady t ON s.route = t.route GROUP BY s.route ORDER BY s.route"""
    ):
        alike = made >= FEWEST_MADE and made - made_differ >= _SAME * made
        many = others_differ >= FEWEST_DIFFERENT and fisher(others_differ, others, made_differ, made) < RARE
        if route in answers.changed_by_writes and alike and many:
            routes.append(route)
    if not routes:
        return None
    among = ", ".join(map(str, routes))
    (whole,) = answers.rows(
        f"""SELECT count(*), count(*) FILTER (differ), count(*) FILTER (differ AND unwritten),
            count(*) FILTER (differ AND version_differs), count(*) FILTER (differ AND versioned),
            count(*) FILTER (made), count(*) FILTER (made AND differ)
        FROM slots WHERE route IN ({among})"""
    )
    names = ("slots", "differ", "differ_unwritten", "differ_in_version", "differ_versioned", "made", "made_differ")
    facts: Facts = dict(zip(names, whole, strict=True))
    for cache, slots, differ in answers.rows(
        f"""SELECT cache, count(*), count(*) FILTER (differ) FROM slots WHERE route IN ({among})
        GROUP BY cache ORDER BY cache"""
    ):
        facts |= {f"{cache}_slots": slots, f"{cache}_differ": differ}
    examples: list[Facts] = [
        {"route": answers.name(route), "url": answers.url(route, key), "at_s": due_ns / 1e9, "slots": slots,
         "differ": differ}
        for route, key, due_ns, slots, differ in answers.rows(
            f"""SELECT route, arg_min(key, due_ns) FILTER (differ AND unwritten),
                min(due_ns) FILTER (differ AND unwritten), count(*), count(*) FILTER (differ)
            FROM slots WHERE route IN ({among}) GROUP BY route ORDER BY route LIMIT 8"""
        )
    ]  # fmt: skip
    return run_finding("arms-differ", {}, facts | {"looked_at_share": answers.sampled_share}, examples)


def changed_without_write(evidence: Evidence) -> RunFinding | None:
    """Answers that flap: bytes A, then B, then A again for the same URL, with no write of its key between.

    One change may be content of its own (a clock, another writer). A body that comes back shows that there are several
    copies: a cache for each process, or one entry for several variants. Named only of routes whose bodies stay the same
    otherwise: where they were made anew, or, where no status is visible, of keys that nobody wrote.
    """
    answers = evidence.answers
    if answers is None:
        return None
    answers.database.execute(_CHANGING)
    answers.database.execute(_SERIES)
    flapping = {
        (route, arm, written): count
        for route, arm, written, count in answers.rows(
            "SELECT route, arm, epoch > 0, count(*) FROM series WHERE back > 0 GROUP BY ALL"
        )
    }
    if not flapping:
        return None
    watched = {(route, arm, written): (count, known) for route, arm, written, count, known in answers.rows(_WATCHED)}
    steady = {route for (route,) in answers.rows("SELECT route FROM steady")}
    routes: set[int] = set()
    for route, arm in sorted({(route, arm) for route, arm, _ in flapping}):
        counts = [flapping.get((route, arm, written), 0) for written in (False, True)]
        series, known = zip(*(watched.get((route, arm, written), (0, False)) for written in (False, True)), strict=True)
        if route not in answers.changed_by_writes or sum(counts) < FEWEST_FLAPPING:
            continue
        still = series[0] >= FEWEST_STILL and counts[0] <= _SELDOM * series[0]
        apart = fisher(counts[1], series[1], counts[0], series[0]) < RARE
        if route in steady if any(known) else still and apart:
            routes.add(route)
    if not routes:
        return None
    by_arm = {
        name: CountOf(
            count=sum(flapping.get((route, arm, written), 0) for route in routes for written in (False, True)),
            of=sum(watched.get((route, arm, written), (0, False))[0] for route in routes for written in (False, True)),
        )
        for arm, name in enumerate(ARMS)
        if name in evidence.arms
    }
    among = ", ".join(map(str, sorted(routes)))
    examples: list[Facts] = [
        {"arm": ARMS[arm], "url": answers.url(route, key), "at_s": at_ns / 1e9, "answers": count,
         "bodies": bodies, "turns": turns}
        for arm, route, key, at_ns, count, bodies, turns in answers.rows(
            f"""SELECT arm, route, key, at_ns, n, bodies, turns FROM series WHERE back > 0 AND route IN ({among})
            ORDER BY back DESC, at_ns LIMIT 4"""
        )
    ]  # fmt: skip
    facts: dict[str, Any] = {"route": answers.name(min(routes)), "routes": len(routes)}
    return run_finding("changed-without-write", by_arm, facts | {"looked_at_share": answers.sampled_share}, examples)


def fisher(count: int, total: int, other: int, other_total: int) -> float:
    """One-sided exact test of Fisher (1922): the chance that `count` of `total` or more are among the first, if the
    proportion were the same in both. 1.0 where one of the totals is 0. (scipy.stats takes a second to import.)"""
    if not total or not other_total:
        return 1.0
    both, whole = count + other, total + other_total
    most = np.arange(count, min(total, both) + 1)
    terms = _log_choose(total, most) + _log_choose(other_total, both - most) - _log_choose(whole, np.array([both]))
    return float(min(1.0, np.exp(logsumexp(terms)))) if len(most) else 0.0


def _log_choose(whole: int, part: np.ndarray) -> np.ndarray:
    return np.asarray(gammaln(whole + 1) - gammaln(part + 1) - gammaln(whole - part + 1))
