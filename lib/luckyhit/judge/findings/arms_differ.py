"""The same request to both arms at the same time, and different bytes in the answers.

Told only where the bytes tell anything: where both arms made their answer anew, they gave the same nearly always; and
where no write of the key had come before in the block, so that old data can't be the reason.
"""

from __future__ import annotations

from luckyhit.designs import design_of
from luckyhit.judge.bodies.chance import RARE, fisher
from luckyhit.judge.evidence import Evidence
from luckyhit.records import RunFinding

ID = "arms-differ"
FEWEST, FEWEST_MADE = 10, 20
_SAME = 0.95
_PAIRS = """CREATE OR REPLACE TABLE slots AS
    SELECT b.route, b.key, b.block, b.slot, b.due_ns, b.own AND a.own AS made, b.epoch = 0 AND a.epoch = 0 AS unwritten,
        b.hash <> a.hash AS differ, b.version <> a.version AS version_differs, b.version IS NOT NULL AS versioned,
        CASE WHEN b.hit AND a.hit THEN 'both_hit' WHEN b.hit THEN 'before_hit' WHEN a.hit THEN 'after_hit'
            ELSE 'neither_hit' END AS cache
    FROM answers b JOIN answers a ON b.block = a.block AND b.slot = a.slot AND b.arm = 0 AND a.arm = 1
    WHERE b.measured"""


def find(evidence: Evidence) -> RunFinding | None:
    answers = evidence.answers
    if answers is None or len(evidence.arms) < 2 or not design_of(evidence.case).arms_together:
        return None
    answers.database.execute(_PAIRS)
    routes = []
    for route, made, made_differ, others, others_differ in answers.rows(
        """SELECT s.route, count(*) FILTER (made), count(*) FILTER (made AND differ),
            count(*) FILTER (NOT made AND unwritten),
            count(*) FILTER (NOT made AND unwritten AND differ AND NOT coalesce(version_differs, false))
        FROM slots s SEMI JOIN steady t ON s.route = t.route GROUP BY s.route ORDER BY s.route"""
    ):
        tied = route in answers.told_by_writes
        alike = made >= FEWEST_MADE and made - made_differ >= _SAME * made
        if tied and alike and others_differ >= FEWEST and fisher(others_differ, others, made_differ, made) < RARE:
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
    facts: dict[str, float | int | str | bool | None] = dict(zip(names, whole, strict=True))
    for cache, slots, differ in answers.rows(
        f"""SELECT cache, count(*), count(*) FILTER (differ) FROM slots WHERE route IN ({among})
        GROUP BY cache ORDER BY cache"""
    ):
        facts |= {f"{cache}_slots": slots, f"{cache}_differ": differ}
    examples = [
        {
            "route": answers.name(route),
            "url": answers.url(route, key),
            "at_s": due / 1e9,
            "slots": slots,
            "differ": differ,
        }
        for route, key, due, slots, differ in answers.rows(
            f"""SELECT route, arg_min(key, due_ns) FILTER (differ AND unwritten),
                min(due_ns) FILTER (differ AND unwritten), count(*), count(*) FILTER (differ)
            FROM slots WHERE route IN ({among}) GROUP BY route ORDER BY route LIMIT 8"""
        )
    ]
    return RunFinding(id=ID, facts=facts | {"looked_at_share": answers.looked_at}, examples=examples)


__all__ = ["FEWEST", "ID", "find"]
