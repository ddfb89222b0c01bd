"""Answers from the cache that are another URL's: the key of the entry lacks a part of the request.

Where the cache status is visible, a hit is another URL's where its bytes are those that another URL was given when its
answer was made (a miss), and this URL never was, though it was asked anew in the same state of its data. Both must have
been made anew in one state of the data, ten times, with different bytes: two paths to one thing, one of them old, look
the same otherwise. Left out are bodies of many keys (an empty list), and those that differ each time they are made.
Where it is not visible, the arms are compared: how many answers share their bytes with another URL's.
"""

from __future__ import annotations

from typing import Any

from luckyhit.judge.compared_answers import STEADY, ComparedAnswers
from luckyhit.judge.evidence import Evidence
from luckyhit.judge.findings.answer_bodies import RARE, fisher
from luckyhit.judge.findings.run_finding import Facts, run_finding
from luckyhit.judge.table.rows import ARMS
from luckyhit.records import CountOf, RunFinding

ID = "same-bytes-other-url"
FEWEST = 10
MANY_KEYS = 3
_ALIKE = 0.05
_SELDOM = 0.01
_PREPARE = (
    # Where each body comes from: URLs for which it was made.
    """CREATE OR REPLACE TABLE made AS SELECT hash, url, any_value(route) AS route, any_value(key) AS key,
        min(due_ns) AS due_ns FROM answers WHERE own GROUP BY hash, url""",
    f"""CREATE OR REPLACE TABLE single AS SELECT m.* FROM made m JOIN (
        SELECT hash FROM made GROUP BY hash HAVING count(DISTINCT key) < {MANY_KEYS}) USING (hash)""",
    """CREATE OR REPLACE TABLE hits AS SELECT a.* FROM answers a SEMI JOIN steady s ON a.route = s.route
        SEMI JOIN (SELECT url, place, epoch FROM answers WHERE own) o
            ON o.url = a.url AND o.place = a.place AND o.epoch = a.epoch
        WHERE a.hit AND a.measured""",
    """CREATE OR REPLACE TABLE foreign_hits AS
        SELECT h.arm, h.route, h.key, h.url, h.due_ns, s.route AS other_route, s.key AS other_key, s.url AS other_url,
            s.due_ns AS other_due_ns
        FROM (SELECT * FROM hits h ANTI JOIN made m ON h.hash = m.hash AND h.url = m.url) h
        JOIN single s ON s.hash = h.hash""",
    # Were both URLs asked anew in the same state of their data? Then they show whether they are two things.
    """CREATE OR REPLACE TABLE states AS SELECT DISTINCT url, place, epoch, hash FROM answers WHERE own""",
    """CREATE OR REPLACE TABLE together AS SELECT route, other_route, bool_or(a.hash = b.hash) AS alike
        FROM (SELECT DISTINCT route, other_route, url, other_url, key = other_key AS one_key FROM foreign_hits) l
        JOIN states a ON a.url = l.url
        JOIN states b ON b.url = l.other_url AND b.place = a.place AND b.epoch = a.epoch
        WHERE l.one_key OR a.epoch = 0 GROUP BY route, other_route, l.url, other_url, a.place, a.epoch""",
)


def same_bytes_other_url(evidence: Evidence) -> RunFinding | None:
    answers = evidence.answers
    if answers is None:
        return None
    return _by_status(answers, evidence) or _by_arms(answers, evidence)


def _by_status(answers: ComparedAnswers, evidence: Evidence) -> RunFinding | None:
    for statement in _PREPARE:
        answers.database.execute(statement)
    pairs = answers.rows(
        f"""SELECT route, other_route FROM together GROUP BY route, other_route
        HAVING count(*) FILTER (alike) <= {_ALIKE} * count(*)
        QUALIFY sum(count(*)) OVER (PARTITION BY route) >= {FEWEST}"""
    )
    answers.database.execute("CREATE OR REPLACE TABLE pairs (route SMALLINT, other_route SMALLINT)")
    if not pairs:
        return None
    answers.database.executemany("INSERT INTO pairs VALUES (?, ?)", pairs)
    counts = {
        (route, arm): (wrong, hits, misses_wrong, misses)
        for route, arm, wrong, hits, misses_wrong, misses in answers.rows(
            """WITH wrong AS (SELECT f.route, f.arm, count(DISTINCT (f.url, f.due_ns)) AS c FROM foreign_hits f
                SEMI JOIN pairs p ON f.route = p.route AND f.other_route = p.other_route GROUP BY ALL),
            asked AS (SELECT route, arm, count(*) AS c FROM hits GROUP BY ALL),
            shared AS (SELECT DISTINCT a.url, a.hash FROM single a JOIN single b
                ON a.hash = b.hash AND a.url <> b.url JOIN pairs p ON p.route = a.route AND p.other_route = b.route),
            missed AS (SELECT a.route, a.arm, count(*) AS c, count(s.url) AS wrong FROM answers a
                LEFT JOIN shared s ON a.url = s.url AND a.hash = s.hash WHERE a.own AND a.measured GROUP BY ALL)
            SELECT asked.route, asked.arm, coalesce(wrong.c, 0), asked.c, coalesce(missed.wrong, 0),
                coalesce(missed.c, 0)
            FROM asked LEFT JOIN wrong USING (route, arm) LEFT JOIN missed USING (route, arm)"""
        )
    }
    shown = []
    for route in sorted({route for route, _ in counts}):
        of_route = [counts.get((route, arm), (0, 0, 0, 0)) for arm in (0, 1)]
        misses_wrong, misses = (sum(figures[place] for figures in of_route) for place in (2, 3))
        if any(wrong >= FEWEST and fisher(wrong, hits, misses_wrong, misses) < RARE for wrong, hits, _, _ in of_route):
            shown.append(route)
    if not shown:
        return None
    # By arm: wrong hits, hits, wrong misses, misses, over the routes shown.
    totals = [[sum(counts.get((route, arm), (0, 0, 0, 0))[place] for route in shown) for place in range(4)]
              for arm in (0, 1)]  # fmt: skip
    by_arm = {
        name: CountOf(count=totals[arm][0], of=totals[arm][1]) for arm, name in enumerate(ARMS) if name in evidence.arms
    }
    names = ("hits_wrong", "hits", "misses_wrong", "misses")
    facts: Facts = {"compared": "misses", "looked_at_share": answers.sampled_share}
    facts |= {name: totals[0][place] + totals[1][place] for place, name in enumerate(names)}
    return run_finding(ID, by_arm, facts | _routes(answers, shown), _examples(answers, shown))


def _routes(answers: ComparedAnswers, shown: list[int]) -> dict[str, Any]:
    """The pair of routes with the most."""
    routes = ", ".join(map(str, shown))
    (pair,) = answers.rows(
        f"""SELECT f.route, f.other_route FROM foreign_hits f SEMI JOIN pairs p ON f.route = p.route
            AND f.other_route = p.other_route WHERE f.route IN ({routes})
            GROUP BY ALL ORDER BY count(*) DESC, f.route, f.other_route LIMIT 1"""
    )
    return {"route": answers.name(pair[0]), "other_route": answers.name(pair[1]), "routes": len(shown)}


def _examples(answers: ComparedAnswers, shown: list[int]) -> list[dict[str, Any]]:
    """One of each pair of routes, the first in time."""
    routes = ", ".join(map(str, shown))
    first = answers.rows(
        f"""SELECT route, other_route, arg_min(struct_pack(arm := arm, key := key, due_ns := due_ns,
                other_key := other_key, other_due_ns := other_due_ns), due_ns), count(*) AS c
            FROM foreign_hits f SEMI JOIN pairs p ON f.route = p.route AND f.other_route = p.other_route
            WHERE route IN ({routes}) GROUP BY ALL ORDER BY c DESC, route, other_route LIMIT 4"""
    )
    examples = []
    for route, other_route, hit, count in first:
        examples.append(
            {
                "arm": ARMS[hit["arm"]],
                "url": answers.url(route, hit["key"]),
                "at_s": hit["due_ns"] / 1e9,
                "other_url": answers.url(other_route, hit["other_key"]),
                "other_at_s": hit["other_due_ns"] / 1e9,
                "count": count,
            }
        )
    return examples


def _by_arms(answers: ComparedAnswers, evidence: Evidence) -> RunFinding | None:
    """Of services that show no cache status: where one arm gives another URL's bytes, and the other arm hardly ever."""
    if len(evidence.arms) < 2:
        return None
    steady = {
        (arm, route)
        for arm, route in answers.rows(
            f"""SELECT arm, route FROM (
                SELECT arm, route, sum(c) AS n, max(c) AS top FROM (
                    SELECT arm, route, url, place, epoch, hash, count(*) AS c FROM answers GROUP BY ALL
                ) GROUP BY arm, route, url, place, epoch HAVING sum(c) >= 2
            ) GROUP BY arm, route HAVING {STEADY}"""
        )
    }
    counts: dict[int, dict[int, tuple[int, int]]] = {}
    for route, arm, shared, whole in answers.rows(
        """WITH common AS (SELECT arm, hash FROM answers GROUP BY arm, hash HAVING min(url) <> max(url)),
        untold AS (SELECT route FROM answers GROUP BY route HAVING NOT bool_or(known))
        SELECT a.route, a.arm, count(b.hash), count(*) FROM answers a SEMI JOIN untold u ON a.route = u.route
        LEFT JOIN common b ON a.arm = b.arm AND a.hash = b.hash WHERE a.measured GROUP BY a.route, a.arm"""
    ):
        counts.setdefault(route, {})[arm] = shared, whole
    shown = []
    for route, by_arm in sorted(counts.items()):
        if len(by_arm) < 2:
            continue
        (low, low_of), (high, high_of) = sorted(by_arm.values(), key=lambda figures: figures[0] / figures[1])
        apart = min(by_arm, key=lambda arm: by_arm[arm][0] / by_arm[arm][1])
        seldom = low <= _SELDOM * low_of and (apart, route) in steady
        if seldom and high >= 2 * FEWEST and fisher(high, high_of, low, low_of) < RARE:
            shown.append(route)
    if not shown:
        return None
    totals = [[sum(counts[route][arm][place] for route in shown) for place in (0, 1)] for arm in (0, 1)]
    counted = {name: CountOf(count=count, of=whole) for name, (count, whole) in zip(ARMS, totals, strict=True)}
    facts: Facts = {"compared": "arms", "route": answers.name(shown[0]), "routes": len(shown)}
    return run_finding(ID, counted, facts | {"looked_at_share": answers.sampled_share})
