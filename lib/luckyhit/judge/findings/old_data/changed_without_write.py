"""Answers that flap: bytes A, then B, then A again for the same URL, with no write of its key between.

One change may be content of its own (a clock, another writer). A body that comes back tells of several copies: a cache
for each process, or one entry for several variants. Told only of routes whose bodies stay the same otherwise: where
they were made anew, or, where no status is told, of keys that nobody wrote.
"""

from __future__ import annotations

from luckyhit.judge.bodies.chance import RARE, fisher
from luckyhit.judge.evidence import Evidence
from luckyhit.records import CountOf, RunFinding

ID = "changed-without-write"
FEWEST, FEWEST_STILL = 5, 30
_SELDOM = 0.01
_SERIES = """CREATE OR REPLACE TABLE series AS
    SELECT arm, block, route, key, epoch, count(*) AS n, count(DISTINCT hash) AS bodies,
        count(*) FILTER (hash <> earlier) AS turns, turns + 1 - bodies AS back,
        min(due_ns) FILTER (hash <> earlier) AS at_ns, bool_or(known) AS known
    FROM (SELECT *, lag(hash) OVER (PARTITION BY arm, block, url, epoch ORDER BY due_ns, slot) AS earlier
        FROM answers WHERE quiet AND arm >= 0
            AND (arm, block, url, epoch) IN (SELECT (arm, block, url, epoch) FROM changing))
    GROUP BY arm, block, route, key, epoch"""
_CHANGING = """CREATE OR REPLACE TABLE changing AS SELECT arm, block, url, epoch FROM answers
    WHERE quiet GROUP BY ALL HAVING min(hash) <> max(hash) AND count(*) >= 3"""
_WATCHED = """SELECT route, arm, epoch > 0 AS written, count(*), bool_or(known) FROM (
    SELECT route, arm, epoch, bool_or(known) AS known FROM answers WHERE quiet GROUP BY route, arm, block, url, epoch
    HAVING count(*) >= 3) GROUP BY ALL"""


def find(evidence: Evidence) -> RunFinding | None:
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
    shown: list[tuple[int, int]] = []
    for route, arm in sorted({(route, arm) for route, arm, _ in flapping}):
        counts = [flapping.get((route, arm, written), 0) for written in (False, True)]
        series, known = zip(*(watched.get((route, arm, written), (0, False)) for written in (False, True)), strict=True)
        if route not in answers.told_by_writes or sum(counts) < FEWEST:
            continue
        still = series[0] >= FEWEST_STILL and counts[0] <= _SELDOM * series[0]
        apart = fisher(counts[1], series[1], counts[0], series[0]) < RARE
        if route in steady if any(known) else still and apart:
            shown.append((route, arm))
    if not shown:
        return None
    routes = sorted({route for route, _ in shown})
    by_arm = {
        name: CountOf(
            count=sum(flapping.get((route, arm, written), 0) for route in routes for written in (False, True)),
            of=sum(watched.get((route, arm, written), (0, False))[0] for route in routes for written in (False, True)),
        )
        for arm, name in enumerate(("before", "after"))
        if name in evidence.arms
    }
    among = ", ".join(map(str, routes))
    examples = [
        {
            "arm": ("before", "after")[arm],
            "url": answers.url(route, key),
            "at_s": at_ns / 1e9,
            "answers": count,
            "bodies": bodies,
            "turns": turns,
        }
        for arm, route, key, at_ns, count, bodies, turns in answers.rows(
            f"""SELECT arm, route, key, at_ns, n, bodies, turns FROM series WHERE back > 0 AND route IN ({among})
            ORDER BY back DESC, at_ns LIMIT 4"""
        )
    ]
    facts = {"route": answers.name(routes[0]), "routes": len(routes), "looked_at_share": answers.looked_at}
    return RunFinding(id=ID, before=by_arm.get("before"), after=by_arm.get("after"), facts=facts, examples=examples)


__all__ = ["FEWEST", "ID", "find"]
