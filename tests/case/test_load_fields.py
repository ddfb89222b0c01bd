"""Fields of a case that are invalid, or don't fit together: which field is named, on which line, in which words.

`problems.txt` has the messages of all rows: `UPDATE=1 pytest tests/case/test_load_fields.py` writes it again.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from numbered import numbered_case

from luckyhit.case.load import MOST_PROBLEMS, parse_case
from luckyhit.case.values.units import parse_rate
from luckyhit.errors import CaseError, Problem

MESSAGES = Path(__file__).parent / "problems.txt"
GOOD = numbered_case("good")
# Parts of it, to be replaced.
WRITE = 'method: PUT\n    path: /items/{key}\n    body: {price: "{version}"}\n    status: 200\n'
READ = "- name: detail\n      path: /items/{key}"
KEYS = "keys: {first: 1, last: 500, popularity: zipf, exponent: 1.0}"
ABSENT = """  absent:
    keys: {first: 2000, last: 2100}
    create: {path: "/items/{key}", body: {price: "{version}"}}
    remove: {path: "/items/{key}"}
  within: 100ms"""

# (the field that is named, and the edits that make it wrong)
WRONG: list[tuple[str, *tuple[tuple[str, str], ...]]] = [
    ("plan.block", ("block: 7s", "block: 7")),
    ("plan.block", ("block: 7s", "block: 7 seconds")),
    ("plan.block", ("block: 7s", "block: 7.5min")),
    ("plan.block", ("block: 7s", "block: -7s")),
    ("plan.block", ("block: 7s", "block: 0s")),
    ("plan.block", ("block: 7s", "block: 48h")),
    ("plan.block", ("block: 7s", "block: [7s]")),
    ("plan.block", ("block: 7s", "block:")),
    ("workload.rate", ("rate: 100/s", "rate: 100rps")),
    ("workload.rate", ("rate: 100/s", "rate: 100 req/min")),
    ("workload.rate", ("rate: 100/s", "rate: 0/s")),
    ("workload.rate", ("rate: 100/s", "rate: 1000000/s")),
    ("cache.largest_share", ("dedicated: true", "largest_share: 0.3")),
    ("cache.largest_share", ("dedicated: true", "largest_share: 130 %")),
    ("goals.hit_ratio.margin", ("margin: 2 %}", "margin: much}")),
    ("target.start.env.DEBUG", ('CACHE_TTL_SECONDS: "60"', "DEBUG: 1")),
    ("target.start.env.DEBUG", ('CACHE_TTL_SECONDS: "60"', "DEBUG: true")),
    ("target.start.env.DEBUG", ('CACHE_TTL_SECONDS: "60"', "DEBUG: yes")),
    ("target.start.env.DEBUG", ('CACHE_TTL_SECONDS: "60"', "DEBUG: Off")),
    ("target.start.env.DEBUG", ('CACHE_TTL_SECONDS: "60"', "DEBUG:")),
    ("target.start.env.MY-VAR", ('CACHE_TTL_SECONDS: "60"', "MY-VAR: x")),
    ("cache.dedicated", ("dedicated: true", "dedicated: yes")),
    ("cache.dedicated", ("dedicated: true", 'dedicated: "true"')),
    ("workload.seed", ("seed: 1", "seed: 1.5")),
    ("workload.seed", ("seed: 1", 'seed: "1"')),
    ("workload.seed", ("seed: 1", "seed: -1")),
    ("expected.response.status", ("status: 200", "status: 99")),
    ("plan.blocks", ("blocks: 4", "blocks: 1")),
    ("workload.routes[0].weight", ("weight: 9", "weight: 0")),
    ("title", ('title: "TODO: what the user sees, and should not see"', "title: ''")),
    ("route", ("route: GET /items/{id}", "route: |\n  a\n  b")),
    ("workload.routes[0].path", ("path: /items/{key}", "path: items")),
    ("workload.routes[0].path", ("path: /items/{key}", "path: /a b")),
    ("workload.routes[0].path", ("path: /items/{key}", "path: {key}")),
    ("freshness.reads[0].version", ("version: $.price", "version: price")),
    ("workload.routes[0].name", ("name: item", "name: Item One")),
    ("cache.clear", ("clear:\n    - item:{id}", "clear: item:{id}")),
    ("cache.clear", ("clear:\n    - item:{id}", "clear: []")),
    ("cache.clear[0]", ("clear:\n    - item:{id}", "clear: ['item:{id']")),
    ("freshness.horizn", ("horizon:", "horizn:")),
    ("design", ("design: side-by-side", "design: sidebyside")),
    ("workload.routes[0].keys.popularity", ("popularity: zipf", "popularity: gauss")),
    ("goals.hit_ratoi", ("  hit_ratio: {", "  hit_ratoi: {")),
    ("change.kind", ("kind: env", "kind: envv")),
    ("change.kind", ("  kind: env\n", "")),
    ("change.smallest", ("  smallest:", "  smalest:")),
    ("rollback.note", ("  note:", "  notes:")),
    ("change.after", ('after: "300"', 'after: "60"')),
    ("target.start.env.CACHE_TTL_SECONDS", ('CACHE_TTL_SECONDS: "60"', 'CACHE_TTL_SECONDS: "90"')),
    ("target.start.pass_env[0]", ("pass_env: []", "pass_env: [CACHE_TTL_SECONDS]")),
    ("target.url", ("target:\n  start:\n", "target:\n  url: http://localhost:1\n  start:\n")),
    ("target.start.command", (', --port, "{port}"]', "]")),
    ("target.start.env", ('"{cache_url}"', "redis")),
    ("target.start.env.REDIS_URL", ('"{cache_url}"', '"{cache_uri}"')),
    ("cache.clear[0]", ("clear:\n    - item:{id}", 'clear: ["{x}"]'), ("dedicated: true", "dedicated: false")),
    ("cache.clear[0]", ("clear:\n    - item:{id}", 'clear: ["{a}:{b}"]'), ("dedicated: true", "dedicated: false")),
    ("cache.clear[1]", ("clear:\n    - item:{id}", 'clear: ["a:{b}", "a:{b}"]')),
    ("workload.routes[0].keys.last", ("last: 500", "last: 0")),
    ("freshness.keys", ("last: 500", "last: 1500")),
    ("freshness.keys.last", ("last: 2000", "last: 1000")),
    ("freshness.keys", ("last: 2000", "last: 1004")),
    ("workload.routes[1].name", ("name: update", "name: item")),
    ("workload.routes[0].keys", ("path: /items/{key}", "path: /items")),
    ("workload.routes[0].path", ("path: /items/{key}", "path: /items/{id}")),
    ("workload.routes[0].path", ("      keys: {first: 1, last: 500, popularity: zipf, exponent: 1.0}\n", "")),
    ("workload.routes[1].body", ("method: PUT", "method: GET")),
    ("workload.routes[1].body.price", ('"{number}"', '"{numbr}"')),
    ("workload.routes[1].body.price", ('"{number}"', '"{version}"')),
    ("workload.routes[1].body.price", ('"{number}"', '"a } b"')),
    ("freshness.write", ('"{version}"', "7")),
    ("freshness.reads[0].path", (READ, READ.removesuffix("/{key}"))),
    ("freshness.write", ('body: {price: "{version}"}', 'command: [write, "{key}"]')),
    ("freshness.write", ('path: /items/{key}\n    body: {price: "{version}"}', 'command: [write, "{key}"]')),
    ("freshness.write.database", (WRITE, 'sql: "UPDATE items SET price = :version WHERE id = :key"\n')),
    ("freshness.write.sql", (WRITE, 'sql: "UPDATE items SET price = :price WHERE id = :key"\n    database_env: DB\n')),
    ("freshness.write.database_env", (WRITE, WRITE + "    database_env: DB\n")),
    ("freshness.reads[0]", (READ, READ + "\n      header: etag")),
    ("freshness.reads[0].regex", ("version: $.price", "header: etag\n      regex: v(1)(2)")),
    ("freshness.reads[0].version", ("version: $.price", "version: $.items[?@.id = {key}].price")),
    ("freshness.reads[0].version", ("version: $.price", "version: $.price[?@.id == {kee}]")),
    ("freshness.absent.keys", ("  within: 100ms", ABSENT)),
    ("freshness.cache_keys[0]", ("rate: 5/s", "rate: 5/s\n  cache_keys: [item]")),
    ("freshness.write.refused.status", (WRITE, WRITE + "    refused: {status: [500]}\n")),
    ("freshness.write.refused.status", (WRITE, WRITE + "    refused: {status: []}\n")),
    ("freshness.write.refused", (WRITE, 'command: [write, "{key}", "{version}"]\n    refused: {status: [409]}\n')),
    ("freshness.variants[1].name", ("rate: 5/s", "rate: 5/s\n  variants: [{name: a}, {name: a, headers: {Accept: x}}]")),
    ("freshness.variants[1].headers", ("rate: 5/s", "rate: 5/s\n  variants: [{name: a}, {name: b}]")),
    ("freshness.variants[0].headers", ("rate: 5/s", "rate: 5/s\n  variants: [{name: a, headers: {Host: x}}]")),
    ("freshness.variants[0].headers", ("rate: 5/s", "rate: 5/s\n  variants: [{name: a, headers: {If-None-Match: x}}]")),
    ("freshness.variants[0].headers", ("rate: 5/s", "rate: 5/s\n  variants: "
    "[{name: a, headers: {Accept: x, accept: y}}]")),
    ("freshness.horizon", ("horizon: 2s", "horizon: 100ms")),
    ("freshness.horizon", ("horizon: 2s", "horizon: 7s")),
    ("freshness.rate", ("rate: 5/s", "rate: 1/m")),
    ("freshness.rate", ("rate: 5/s", "rate: 5000/s")),
    ("goals.hit_ratio.margin", ("margin: 2 %}", "margin: 5ms}")),
    ("goals.hit_ratio.margin", ("margin: 2 %}", "margin: 0.2}")),
    ("goals.hit_ratio.margin", ("margin: 2 %}", "margin: 0 %}")),
    ("goals.hit_ratio.margin", ("margin: 2 %}", "margin: 100 %}")),
    ("goals.hit_ratio.at_most", ("margin: 2 %}", "margin: 2 %, at_most: 5 %}")),
    ("goals.latency_p95_ms.margin", ("margin: 10 %}", "margin: 0.3}")),
    ("goals.latency_p95_ms.at_most", ("margin: 10 %}", "margin: 10 %, at_most: 20 %}")),
    ("goals.db_calls.margin", ("latency_p95_ms: {want: no-worse, margin: 10 %}", "db_calls: "
    "{want: better, margin: 5ms}")),
    ("goals.db_calls.at_most", ("latency_p95_ms: {want: no-worse, margin: 10 %}", "db_calls: "
    "{want: better, margin: 5 %, at_most: 5 %}")),
    ("goals.staleness_p99_ms.margin", ("latency_p95_ms: {want: no-worse, margin: 10 %}", "staleness_p99_ms: "
    "{want: better, margin: 5 %}")),
    ("goals.stale_reads.at_most", ("at_most: 10 %", "at_most: 101 %")),
    ("goals.items.hit_ratio", ("  hit_ratio: {", "  items.hit_ratio: {")),
    ("goals.x.hit_ratio", ("  hit_ratio: {", "  x.hit_ratio: {")),
    ("goals.item.hit_ratoi", ("  hit_ratio: {", "  item.hit_ratoi: {")),
    ("goals.item.phantom_reads", ("  hit_ratio: {", "  item.phantom_reads: {")),
    ("goals.item.stale_reads", ("  hit_ratio: {", "  item.stale_reads: {")),
    ("goals..hit_ratio", ("  hit_ratio: {", "  .hit_ratio: {")),
    ("goals.item.latency_p95_ms.margin", ("latency_p95_ms: {", "item.latency_p95_ms: {"), ("margin: 10 %", "margin: 2")),
    ("goals.stale_reads_absent", ("  hit_ratio: {", "  stale_reads_absent: {")),
    ("goals.stale_reads_refused", ("  hit_ratio: {", "  stale_reads_refused: {")),
    ("design", ("dedicated: true", "url_env: CACHE_URL")),
    ("design", ("ready: /health", "port: 8000")),
    ("plan.stop_early", ("blocks: 4", "blocks: 4\n  stop_early: true"), ("design: side-by-side", "design: before-after")),
    ("plan.blocks", ("blocks: 4", "blocks: 200"), ("block: 7s", "block: 2m")),
    ("workload.rate", ("rate: 100/s", "rate: 90000/s\n  workers: 20"), ("blocks: 4", "blocks: 100")),
    ("workload.rate", ("rate: 100/s", "rate: 90000/s")),
    ("workload.stages", ("rate: 100/s", "stages: [{lasts: 1s, rate: 100/s, to: 90000/s}, {lasts: 1s, rate: 9/s}]")),
    ("plan.baseline", ("baseline: 10s", "baseline: 100ms")),
    ("plan.block", ("rate: 100/s", "rate: 1/m")),
    ("workload.rate", ("rate: 100/s", "timeout: 1s")),
    ("workload.rate", ("rate: 100/s", "rate: 100/s\n  stages: [{lasts: 1s, rate: 5/s}]")),
    ("workload.stages[0].lasts", ("rate: 100/s", "stages: [{lasts: 5, rate: 100/s}]")),
    ("workload.stages[0].for", ("rate: 100/s", "stages: [{lasts: 5s, rate: 100/s, for: 1s}]")),
    ("plan.baseline", ("rate: 100/s", "stages: [{lasts: 5s, rate: 1/m}]")),
    ("workload.workers", ("rate: 100/s", "rate: 100/s\n  workers: 0")),
    ("workload.hosts", ("rate: 100/s", "rate: 100/s\n  hosts: 65")),
    ("workload.hosts", ("rate: 100/s", "rate: 100/s\n  hosts: 40\n  workers: 3")),
    ("workload.connections", ("rate: 100/s", "rate: 100/s\n  connections: new")),
    ("workload.cookies.shop", ("rate: 100/s", 'rate: 100/s\n  cookies: {shop: "a; b"}')),
    ("workload.rate", ("rate: 100/s", "replay: {file: a.log}\n  rate: 1/s")),
    ("workload.routes[0].keys", ("rate: 100/s", "replay: {file: a.log}")),
    ("workload.routes[0].keys", (KEYS, "keys: {first: 1}")),
    ("workload.routes[0].keys.file", (KEYS, "keys: {file: k.txt, first: 1, last: 2}")),
    ("workload.routes[0].keys.hot", (KEYS, "keys: {first: 1, last: 9, popularity: hot-set}")),
    ("workload.routes[0].keys.hot", (KEYS, "keys: {first: 1, last: 9, hot: 2}")),
    ("workload.routes[0].keys.hot", (KEYS, "keys: {first: 1, last: 9, popularity: hot-set, hot: 9}")),
    ("expected.response.sha256", ("status: 200", 'status: 200\n    sha256: "12"')),
    ("expected.response.values.price", ("status: 200", "status: 200\n    values: {price: 1}")),
    ("target.db_metric", ("target:\n", "target:\n  db_header: X-N\n  db_metric: sql\n")),
    ("target.config_ignore", ("target:\n", "target:\n  config_ignore: [worker]\n")),
    ("target.http", ("target:\n", "target:\n  http: 3\n")),
]  # fmt: skip


def edited(*changes: tuple[str, str]) -> str:
    text = GOOD
    for old, new in changes:
        assert text.count(old) >= 1, old
        text = text.replace(old, new, 1)
    return text


def problems(text: str) -> list[Problem]:
    with pytest.raises(CaseError) as caught:
        parse_case(text, file="good.yml")
    return list(caught.value.problems)


def test_each_invalid_field_is_named_with_its_line_and_message() -> None:
    lines = []
    for field, *changes in WRONG:
        text = edited(*changes)
        named = [problem for problem in problems(text) if problem.field == field]
        assert named, (field, changes)
        for problem in named:
            lines += [text.splitlines()[problem.line - 1].strip()[:80], f"    {str(problem).partition(': ')[2]}"]
    messages = "\n".join(lines) + "\n"
    if "UPDATE" in os.environ:
        MESSAGES.write_text(messages, encoding="utf-8")
    assert MESSAGES.read_text(encoding="utf-8") == messages


@pytest.mark.parametrize("rate", ["90000/s", "1/s", "1/m"])
def test_a_rate_that_is_advised_can_be_taken(rate: str) -> None:
    """Of several problems the last field's advice is enough for all."""
    wrong = ("rate: 100/s", f"rate: {rate}")
    shown = max(problems(edited(wrong)), key=lambda problem: problem.field == "plan.after_rollback")
    (advised,) = re.findall(r"(?:workload\.rate: |at most )(\d+/[sm])", shown.expected)
    assert parse_case(edited(("rate: 100/s", f"rate: {advised}"))).workload.rate == parse_rate(advised)


@pytest.mark.parametrize("rate", ["1/m", "5000/s"])
def test_a_rate_that_is_advised_for_the_probe_can_be_taken(rate: str) -> None:
    keys = ("last: 2000", "last: 90000")
    (shown,) = problems(edited(("rate: 5/s", f"rate: {rate}"), keys))
    (advised,) = re.findall(r"\d+/[sm]", shown.expected)
    case = parse_case(edited(("rate: 5/s", f"rate: {advised}"), keys))
    assert case.freshness is not None and case.freshness.rate == parse_rate(advised)


def test_problems_are_in_the_order_of_the_file() -> None:
    text = edited(
        ("status: 200", "status: 2000"),
        ("rate: 100/s", "rate: 100"),
        ("  note:", "  nota:"),
        ("block: 7s", "block: 7"),
        ('before: "60"', "before: 60"),
    )  # fmt: skip
    fields = "expected.response.status change.before rollback.note rollback.nota workload.rate plan.block"
    assert [problem.field for problem in problems(text)] == fields.split()


def test_fields_that_do_not_fit_together_are_a_second_round() -> None:
    unfit = [("margin: 2 %}", "margin: 2ms}"), ("horizon: 2s", "horizon: 50ms"), ("last: 500", "last: 1500")]
    assert [problem.field for problem in problems(edited(("timeout: 5s", "timeout: 5"), *unfit))] == [
        "workload.timeout"
    ]
    fields = ["freshness.horizon", "freshness.keys", "goals.hit_ratio.margin"]
    assert sorted(problem.field for problem in problems(edited(*unfit))) == fields


def test_an_argument_to_change_occurs_in_the_command_once() -> None:
    start, end = GOOD.index("  kind: env"), GOOD.index("  smallest:")
    change = "  kind: argument\n  what: other workers\n  before: --workers=1\n  after: --workers=2\n"
    text = GOOD[:start] + change + GOOD[end:]
    assert [problem.field for problem in problems(text)] == ["change.before"]
    assert parse_case(text.replace('"{port}"]', '"{port}", --workers=1]')).change.kind == "argument"


def test_a_running_service_takes_no_variable_and_no_second_stack() -> None:
    start, end = GOOD.index("  start:"), GOOD.index("  # config:")
    text = GOOD[:start] + "  url: http://localhost:8000\n" + GOOD[end:]
    assert {problem.field for problem in problems(text)} == {"change.kind", "target.allow_change", "design"}


def test_stale_goals_need_the_probe() -> None:
    text = GOOD[: GOOD.index("freshness:\n")] + GOOD[GOOD.index("# What has to improve") :]
    assert [problem.field for problem in problems(text)] == ["goals.stale_reads"]


@pytest.mark.parametrize("name", ["item.hit_ratio", "item.latency_mean_ms", "item.wrong_answers", "detail.stale_reads"])
def test_a_goal_can_be_about_one_route(name: str) -> None:
    assert name in parse_case(edited(("  hit_ratio: {", f"  {name}: {{"))).goals


def test_a_dedicated_cache_may_be_cleared_as_a_whole() -> None:
    assert parse_case(edited(("- item:{id}", '- "{anything}"'))).cache.dedicated


def test_the_bound_on_staleness_can_be_zero() -> None:
    case = parse_case(edited(("within: 100ms", "within: 0s")))
    assert case.freshness is not None and case.freshness.within == 0


def test_messages_are_short_and_printable() -> None:
    text = edited(("block: 7s", "block: " + "7" * 10_000 + "\u202e"), ("horizon:", "z" * 5000 + "\x1b:"))
    for problem in problems(text):
        assert len(problem.actual) <= 200 and len(problem.field) <= 200 and str(problem).isprintable()


def test_a_long_list_of_problems_is_cut_and_counted() -> None:
    text = GOOD + "".join(f"unknown{number}: x\n" for number in range(MOST_PROBLEMS + 50))
    with pytest.raises(CaseError) as caught:
        parse_case(text)
    assert len(caught.value.problems) == MOST_PROBLEMS and "50 more" in caught.value.hint


def test_stages_hot_sets_and_headers_are_read() -> None:
    stages = "stages: [{lasts: 5s, rate: 50/s, to: 150/s}, {lasts: 10s, rate: 100/s}]\n  workers: 2"
    hot = "keys: {first: 1, last: 500, popularity: hot-set, hot: 5, hot_share: 80 %}\n      headers: {X-K: 'k{key}'}"
    workload = parse_case(edited(("rate: 100/s", stages), (KEYS, hot))).workload
    assert workload.requests_in(5) == 500 and workload.requests_in(2.5) == 187.5
    assert workload.requests_in(20) == 2000 and workload.workers == 2
    assert workload.routes[0].keys is not None and workload.routes[0].keys.hot_share == 0.8
