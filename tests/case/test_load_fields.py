"""What the fields of a case may hold, and what is said where they don't: file, line, field, found, right form."""

from __future__ import annotations

import pytest
from numbered import numbered_case

from luckyhit.case.load import MOST_PROBLEMS, parse_case
from luckyhit.errors import CaseError, Problem

GOOD = numbered_case("good")
# Parts of it, to be taken out or added to.
WRITE = 'method: PUT\n    path: /items/{key}\n    body: {price: "{version}"}\n    status: 200\n'
READ = "- name: detail\n      path: /items/{key}"
ABSENT = """  absent:
    keys: {first: 2000, last: 2100}
    create: {path: "/items/{key}", body: {price: "{version}"}}
    remove: {path: "/items/{key}"}
  within: 100ms"""


def edited(*changes: tuple[str, str]) -> str:
    text = GOOD
    for old, new in changes:
        assert text.count(old) >= 1, old
        text = text.replace(old, new, 1)
    return text


def problems(text: str) -> list[Problem]:
    with pytest.raises(CaseError) as caught:
        parse_case(text, file="data/cases/good.yml")
    return list(caught.value.problems)


def line_of(text: str, needle: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), start=1) if needle in line)


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    text = edited(
        ("status: 200", "status: 2000"),
        ("rate: 100/s", "rate: 100"),
        ("  note:", "  nota:"),
        ("block: 7s", "block: 7"),
        ("margin: 2 %}", "margin: 2ms}"),
        ("horizon: 2s", "horizon: 50ms"),
        ("before: \"60\"", "before: 60"),
    )  # fmt: skip
    found = problems(text)
    assert [p.field for p in found] == [
        "expected.response.status",
        "change.before",
        "rollback.note",
        "rollback.nota",
        "workload.rate",
        "freshness.horizon",
        "goals.hit_ratio.margin",
        "plan.block",
    ]
    assert [p.line for p in found] == sorted(p.line for p in found)
    assert {p.file for p in found} == {"data/cases/good.yml"}


def test_the_message_has_a_line_for_each_problem_as_editors_read_it() -> None:
    with pytest.raises(CaseError) as caught:
        parse_case(edited(("rate: 100/s", "rate: 100")), file="data/cases/good.yml")
    line = line_of(GOOD, "rate: 100/s")
    expected = (
        f"data/cases/good.yml:{line}: workload.rate: found 100; expected a rate with its unit /s or /m: that is 100/s"
    )
    assert expected in str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("old", "new", "field", "found", "expected"),
    [
        # wrong units
        ("block: 7s", "block: 7", "plan.block", "7", "that is 7s or 7ms"),
        ("block: 7s", "block: 7 seconds", "plan.block", "'7 seconds'", "that is 7s"),
        ("block: 7s", "block: 7.5min", "plan.block", "'7.5min'", "that is 7.5m"),
        ("block: 7s", "block: -7s", "plan.block", "'-7s'", "for example 300ms or 5s"),
        ("block: 7s", "block: 0s", "plan.block", "'0s'", "above zero"),
        ("block: 7s", "block: 48h", "plan.block", "'48h'", "24h at most"),
        ("block: 7s", "block: [7s]", "plan.block", "a list of 1", "a duration with its unit"),
        ("block: 7s", "block:", "plan.block", "nothing", "a duration with its unit"),
        ("rate: 100/s", "rate: 100rps", "workload.rate", "'100rps'", "that is 100/s"),
        ("rate: 100/s", "rate: 100 req/min", "workload.rate", "'100 req/min'", "that is 100/m"),
        ("rate: 100/s", "rate: 0/s", "workload.rate", "'0/s'", "above zero"),
        ("rate: 100/s", "rate: 1000000/s", "workload.rate", "'1000000/s'", "100000/s at most"),
        ("dedicated: true", "largest_share: 0.3", "cache.largest_share", "0.3", "that is 30 % or 0.3 %"),
        ("dedicated: true", "largest_share: 130 %", "cache.largest_share", "'130 %'", "up to 100 %"),
        ("margin: 2 %}", "margin: much}", "goals.hit_ratio.margin", "'much'", "a percentage (2 %)"),
        # texts, numbers and truth values
        ("CACHE_TTL_SECONDS: \"60\"", "DEBUG: 1", "target.start.env.DEBUG", "1", 'quote it, "1"'),
        ("CACHE_TTL_SECONDS: \"60\"", "DEBUG: true", "target.start.env.DEBUG", "true", 'quote it, "true"'),
        ("CACHE_TTL_SECONDS: \"60\"", "DEBUG: yes", "target.start.env.DEBUG", "yes without quotes", 'quote it: "yes"'),
        ("CACHE_TTL_SECONDS: \"60\"", "DEBUG: Off", "target.start.env.DEBUG", "Off without quotes", 'quote it: "Off"'),
        ("CACHE_TTL_SECONDS: \"60\"", "DEBUG:", "target.start.env.DEBUG", "nothing", "a text"),
        ("CACHE_TTL_SECONDS: \"60\"", "MY-VAR: x", "target.start.env.MY-VAR", "'MY-VAR'", "letters, digits and _"),
        ("dedicated: true", "dedicated: yes", "cache.dedicated", "yes without quotes", "write true or false"),
        ("dedicated: true", 'dedicated: "true"', "cache.dedicated", "'true'", "true (without quotes)"),
        ("seed: 1", "seed: 1.5", "workload.seed", "1.5", "whole number"),
        ("seed: 1", 'seed: "1"', "workload.seed", "'1'", "without quotes"),
        ("seed: 1", "seed: -1", "workload.seed", "-1", "from 0"),
        ("status: 200", "status: 99", "expected.response.status", "99", "from 100 and up to 599"),
        ("blocks: 4", "blocks: 1", "plan.blocks", "1", "from 2"),
        ("weight: 9", "weight: 0", "workload.routes[0].weight", "0", "above 0"),
        ("title: \"TODO: what the user sees, and should not see\"", "title: ''", "title", "''", "some text"),
        ("route: GET /items/{id}", "route: |\n  a\n  b", "route", "'a\\nb\\n'", "one line"),
        ("path: /items/{key}", "path: items", "workload.routes[0].path", "'items'", "begins with /"),
        ("path: /items/{key}", "path: /a b", "workload.routes[0].path", "'/a b'", "begins with /"),
        ("path: /items/{key}", "path: {key}", "workload.routes[0].path", "a mapping with 1 field", "needs quotes"),
        ("version: $.price", "version: price", "freshness.reads[0].version", "'price'", "begins with $"),
        ("name: item", "name: Item One", "workload.routes[0].name", "'Item One'", "small letters"),
        ("clear:\n    - item:{id}", "clear: item:{id}", "cache.clear", "'item:{id}'", "a list"),
        ("clear:\n    - item:{id}", "clear: []", "cache.clear", "nothing", "templates of the keys"),
        ("clear:\n    - item:{id}", "clear: ['item:{id']", "cache.clear[0]", "'item:{id'", "{{ for the brace"),
        # names: unknown, missing, misspelt
        ("horizon:", "horizn:", "freshness.horizn", "'horizn'", "`horizon`?"),
        ("design: side-by-side", "design: sidebyside", "design", "'sidebyside'", "`side-by-side`?"),
        ("popularity: zipf", "popularity: gauss", "workload.routes[0].keys.popularity", "'gauss'", "uniform, zipf"),
        ("  hit_ratio: {", "  hit_ratoi: {", "goals.hit_ratoi", "'hit_ratoi'", "`hit_ratio`?"),
        ("kind: env", "kind: envv", "change.kind", "'envv'", "`env`?"),
        ("  kind: env\n", "", "change", "no kind", "kind: env or argument or revision"),
        ("  smallest:", "  smalest:", "change.smallest", "no smallest", "the smallest safe change"),
        ("  note:", "  notes:", "rollback.note", "no note", "what to do to undo the change"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_located_and_the_right_form_said(
    old: str, new: str, field: str, found: str, expected: str
) -> None:
    text = edited((old, new))
    matching = [p for p in problems(text) if p.field == field]
    assert len(matching) == 1, problems(text)
    assert found in matching[0].found
    assert expected in matching[0].expected
    # The line is the field's own, or where the part begins that lacks it.
    if not matching[0].found.startswith("no "):
        assert matching[0].line == line_of(text, new.split("\n")[0])


@pytest.mark.parametrize(
    ("changes", "field", "line", "expected"),
    [
        ([('after: "300"', 'after: "60"')], "change.after", 'after: "60"', "kind: none"),
        ([('CACHE_TTL_SECONDS: "60"', 'CACHE_TTL_SECONDS: "90"')], "target.start.env.CACHE_TTL_SECONDS", '"90"', "'60'"),
        ([("pass_env: []", "pass_env: [CACHE_TTL_SECONDS]")], "target.start.pass_env[0]", "pass_env", "both arms share"),
        ([("target:\n  start:\n", "target:\n  url: http://localhost:1\n  start:\n")], "target.url", "url: http", "one of them"),
        ([(', --port, "{port}"]', "]")], "target.start.command", "command:", "{port}"),
        ([('"{cache_url}"', "redis")], "target.start.env", "    env:", "{cache_url}"),
        ([('"{cache_url}"', '"{cache_uri}"')], "target.start.env.REDIS_URL", "REDIS_URL", "{cache_url}"),
        ([("clear:\n    - item:{id}", 'clear: ["{x}"]'), ("dedicated: true", "dedicated: false")], "cache.clear[0]", "clear:", "product:{id}"),
        ([("clear:\n    - item:{id}", 'clear: ["{a}:{b}"]'), ("dedicated: true", "dedicated: false")], "cache.clear[0]", "clear:", "product:{id}"),
        ([("clear:\n    - item:{id}", 'clear: ["a:{b}", "a:{b}"]')], "cache.clear[1]", "clear:", "each template once"),
        ([("last: 500", "last: 0")], "workload.routes[0].keys.last", "last: 0", "1 (first) or more"),
        ([("last: 500", "last: 1500")], "freshness.keys", "first: 1001", "apart from those of workload.routes[0] (1 to 1500)"),
        ([("last: 2000", "last: 1000")], "freshness.keys.last", "first: 1001", "1001 (first) or more"),
        ([("last: 2000", "last: 1004")], "freshness.keys", "first: 1001", "10 keys or more"),
        ([("name: update", "name: item")], "workload.routes[1].name", "name: item", "of its own"),
        ([("path: /items/{key}", "path: /items")], "workload.routes[0].keys", "keys: {first: 1", "{key} where a key belongs"),
        ([("path: /items/{key}", "path: /items/{id}")], "workload.routes[0].path", "path: /items/{id}", "{key} or {number}"),
        ([("      keys: {first: 1, last: 500, popularity: zipf, exponent: 1.0}\n", "")], "workload.routes[0].path", "path: /items/{key}", "keys too"),
        ([("method: PUT", "method: GET")], "workload.routes[1].body", "body: {price", "no body"),
        ([('"{number}"', '"{numbr}"')], "workload.routes[1].body.price", "{numbr}", "{key} or {number}"),
        ([('"{number}"', '"{version}"')], "workload.routes[1].body.price", "body: {price", "{key} or {number}"),
        ([('"{number}"', '"a } b"')], "workload.routes[1].body.price", "a } b", "}} for the brace"),
        ([('"{version}"', "7")], "freshness.write", "  write:", "which version"),
        ([(READ, READ.removesuffix("/{key}"))], "freshness.reads[0].path", "      path: /items", "{key}"),
        ([('body: {price: "{version}"}', 'command: [write, "{key}"]')], "freshness.write", "  write:", "one of them: path"),
        ([("path: /items/{key}\n    body: {price: \"{version}\"}", 'command: [write, "{key}"]')], "freshness.write", "  write:", "which version"),
        ([(WRITE, 'sql: "UPDATE items SET price = :version WHERE id = :key"\n')], "freshness.write.database", "  write:", "database_env"),
        ([(WRITE, 'sql: "UPDATE items SET price = :price WHERE id = :key"\n    database_env: DB\n')], "freshness.write.sql", "sql:", ":key and :version"),
        ([(WRITE, WRITE + "    database_env: DB\n")], "freshness.write.database_env", "database_env: DB", "sql too"),
        ([(READ, READ + "\n      header: etag")], "freshness.reads[0]", "- name: detail", "one of them"),
        ([("version: $.price", "header: etag\n      regex: v(1)(2)")], "freshness.reads[0].regex", "regex:", "one group"),
        ([("version: $.price", "version: $.items[?@.id = {key}].price")], "freshness.reads[0].version", "version:", "a JSONPath"),
        ([("version: $.price", "version: $.price[?@.id == {kee}]")], "freshness.reads[0].version", "version:", "{key} where"),
        ([("  within: 100ms", ABSENT)], "freshness.absent.keys", "keys: {first: 2000", "apart from freshness.keys"),
        ([("rate: 5/s", "rate: 5/s\n  cache_keys: [item]")], "freshness.cache_keys[0]", "cache_keys", "{key} in it"),
        ([(WRITE, WRITE + "    refused: {status: [500]}\n")], "freshness.write.refused.status", "refused:", "statuses of 4xx"),
        ([(WRITE, WRITE + "    refused: {status: []}\n")], "freshness.write.refused.status", "refused:", "at least one"),
        ([(WRITE, 'command: [write, "{key}", "{version}"]\n    refused: {status: [409]}\n')], "freshness.write.refused", "refused:", "beside a path"),
        ([("rate: 5/s", "rate: 5/s\n  variants: [{name: a}, {name: a, headers: {Accept: x}}]")], "freshness.variants[1].name", "variants:", "a name of its own"),
        ([("rate: 5/s", "rate: 5/s\n  variants: [{name: a}, {name: b}]")], "freshness.variants[1].headers", "variants:", "headers of its own"),
        ([("rate: 5/s", "rate: 5/s\n  variants: [{name: a, headers: {Host: x}}]")], "freshness.variants[0].headers", "variants:", "doesn't set itself"),
        ([("rate: 5/s", "rate: 5/s\n  variants: [{name: a, headers: {If-None-Match: x}}]")], "freshness.variants[0].headers", "variants:", "doesn't set itself"),
        ([("rate: 5/s", "rate: 5/s\n  variants: [{name: a, headers: {Accept: x, accept: y}}]")], "freshness.variants[0].headers", "variants:", "each header once"),
        ([("horizon: 2s", "horizon: 100ms")], "freshness.horizon", "horizon:", "more than within (100ms)"),
        ([("horizon: 2s", "horizon: 7s")], "freshness.horizon", "horizon:", "less than plan.block (7s)"),
        ([("rate: 5/s", "rate: 1/m")], "freshness.rate", "rate: 1/m", "in each block"),
        ([("margin: 2 %}", "margin: 5ms}")], "goals.hit_ratio.margin", "5ms", "a percentage (`2 %`)"),
        ([("margin: 2 %}", "margin: 0.2}")], "goals.hit_ratio.margin", "0.2", "a percentage (`2 %`)"),
        ([("margin: 2 %}", "margin: 0 %}")], "goals.hit_ratio.margin", "0 %", "more than zero"),
        ([("margin: 2 %}", "margin: 100 %}")], "goals.hit_ratio.margin", "100 %", "less than 100 %"),
        ([("margin: 2 %}", "margin: 2 %, at_most: 5 %}")], "goals.hit_ratio.at_most", "at_most: 5 %", "higher is better"),
        ([("margin: 10 %}", "margin: 0.3}")], "goals.latency_p95_ms.margin", "0.3", "a percentage (`2 %`) or a duration (`5ms`)"),
        ([("margin: 10 %}", "margin: 10 %, at_most: 20 %}")], "goals.latency_p95_ms.at_most", "at_most: 20", "never relative"),
        ([("latency_p95_ms: {want: no-worse, margin: 10 %}", "db_calls: {want: better, margin: 5ms}")], "goals.db_calls.margin", "db_calls", "bare number"),
        ([("latency_p95_ms: {want: no-worse, margin: 10 %}", "db_calls: {want: better, margin: 5 %, at_most: 5 %}")], "goals.db_calls.at_most", "db_calls", "bare number"),
        ([("latency_p95_ms: {want: no-worse, margin: 10 %}", "staleness_p99_ms: {want: better, margin: 5 %}")], "goals.staleness_p99_ms.margin", "staleness_p99_ms", "a duration"),
        ([("at_most: 10 %", "at_most: 101 %")], "goals.stale_reads.at_most", "101", "100 % at most"),
        ([("  hit_ratio: {", "  items.hit_ratio: {")], "goals.items.hit_ratio", "items.hit_ratio", "`item.hit_ratio`?"),
        ([("  hit_ratio: {", "  x.hit_ratio: {")], "goals.x.hit_ratio", "x.hit_ratio", "a name of workload.routes: item"),
        ([("  hit_ratio: {", "  item.hit_ratoi: {")], "goals.item.hit_ratoi", "hit_ratoi", "`hit_ratio`?"),
        ([("  hit_ratio: {", "  item.phantom_reads: {")], "goals.item.phantom_reads", "phantom", "a route and a metric of one route"),
        ([("  hit_ratio: {", "  item.stale_reads: {")], "goals.item.stale_reads", "item.stale", "a name of freshness.reads: detail"),
        ([("  hit_ratio: {", "  .hit_ratio: {")], "goals..hit_ratio", ".hit_ratio", "a route and a metric of one route"),
        ([("latency_p95_ms: {", "item.latency_p95_ms: {"), ("margin: 10 %", "margin: 2")], "goals.item.latency_p95_ms.margin", "margin: 2", "for item.latency_p95_ms"),
        ([("  hit_ratio: {", "  stale_reads_absent: {")], "goals.stale_reads_absent", "absent", "freshness.absent"),
        ([("  hit_ratio: {", "  stale_reads_refused: {")], "goals.stale_reads_refused", "refused", "freshness.refused"),
        ([("dedicated: true", "url_env: CACHE_URL")], "design", "design:", "crossover or before-after"),
        ([("ready: /health", "port: 8000")], "design", "design:", "crossover or before-after"),
        ([("blocks: 4", "blocks: 4\n  stop_early: true"), ("design: side-by-side", "design: before-after")], "plan.stop_early", "stop_early", "false with before-after"),
        ([("blocks: 4", "blocks: 200"), ("block: 7s", "block: 2m")], "plan.blocks", "blocks: 200", "6 hours at most"),
        ([("rate: 100/s", "rate: 90000/s"), ("blocks: 4", "blocks: 100")], "workload.rate", "rate: 90000/s", "at most"),
        ([("baseline: 10s", "baseline: 100ms")], "plan.baseline", "baseline:", "20 requests or more"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_found_at_the_most_telling_field(
    changes: list[tuple[str, str]], field: str, line: str, expected: str
) -> None:
    text = edited(*changes)
    found = problems(text)
    assert [p.field for p in found] == [field]
    assert expected in found[0].expected
    assert line in text.splitlines()[found[0].line - 1]


def test_an_argument_to_change_stands_in_the_command_once() -> None:
    start, end = GOOD.index("  kind: env"), GOOD.index("  smallest:")
    change = "  kind: argument\n  what: other workers\n  before: --workers=1\n  after: --workers=2\n"
    text = GOOD[:start] + change + GOOD[end:]
    found = problems(text)
    assert [(p.field, p.expected) for p in found] == [("change.before", "an argument that stands there exactly once")]
    assert parse_case(text.replace('"{port}"]', '"{port}", --workers=1]')).change.kind == "argument"


def test_a_running_service_takes_no_setting_and_no_second_stack() -> None:
    start, end = GOOD.index("  start:"), GOOD.index("  # config:")
    text = GOOD[:start] + "  url: http://localhost:8000\n" + GOOD[end:]
    assert {p.field for p in problems(text)} == {"change.kind", "target.allow_change", "design"}


@pytest.mark.parametrize("name", ["item.hit_ratio", "item.latency_mean_ms", "item.wrong_answers", "detail.stale_reads"])
def test_a_goal_of_one_route(name: str) -> None:
    assert name in parse_case(edited(("  hit_ratio: {", f"  {name}: {{"))).goals


def test_stale_goals_need_the_probe() -> None:
    text = GOOD[: GOOD.index("freshness:\n")] + GOOD[GOOD.index("# What has to improve") :]
    found = problems(text)
    assert [p.field for p in found] == ["goals.stale_reads"]
    assert "freshness" in found[0].expected


def test_a_dedicated_cache_may_be_cleared_as_a_whole() -> None:
    assert parse_case(edited(("- item:{id}", '- "{anything}"'))).cache.dedicated


def test_no_staleness_at_all_can_be_demanded() -> None:
    case = parse_case(edited(("within: 100ms", "within: 0s")))
    assert case.freshness is not None
    assert case.freshness.within == 0


def test_what_is_found_is_shown_short_and_harmless() -> None:
    text = edited(("block: 7s", "block: " + "7" * 10_000 + "\u202e"), ("horizon:", "z" * 5000 + "\x1b:"))
    for problem in problems(text):
        assert len(problem.found) <= 200
        assert len(problem.field) <= 200
        assert str(problem).isprintable()


def test_a_wrong_field_does_not_hide_what_else_does_not_fit() -> None:
    text = edited(("timeout: 5s", "timeout: 5"), ("weight: 9", "weight: heavy"), ("last: 500", "last: 1500"))
    assert {p.field for p in problems(text)} == {"workload.timeout", "workload.routes[0].weight", "freshness.keys"}


def test_an_endless_list_of_problems_is_cut_and_counted() -> None:
    text = GOOD + "".join(f"unknown{number}: x\n" for number in range(MOST_PROBLEMS + 50))
    with pytest.raises(CaseError) as caught:
        parse_case(text)
    assert len(caught.value.problems) == MOST_PROBLEMS
    assert "50 more" in caught.value.hint


KEYS = "keys: {first: 1, last: 500, popularity: zipf, exponent: 1.0}"


@pytest.mark.parametrize(
    ("old", "new", "field", "found", "expected"),
    [
        ("rate: 100/s", "timeout: 1s", "workload.rate", "neither rate nor stages", "one of them"),
        (
            "rate: 100/s",
            "rate: 100/s\n  stages: [{lasts: 1s, rate: 5/s}]",
            "workload.rate",
            "rate and stages",
            "one of them",
        ),
        ("rate: 100/s", "stages: [{lasts: 5, rate: 100/s}]", "workload.stages[0].lasts", "5", "that is 5s"),
        (
            "rate: 100/s",
            "stages: [{lasts: 5s, rate: 100/s, for: 1s}]",
            "workload.stages[0].for",
            "a field that there is not",
            "lasts",
        ),
        ("rate: 100/s", "stages: [{lasts: 5s, rate: 1/m}]", "plan.baseline", "with 0 requests", "20 requests or more"),
        ("rate: 100/s", "rate: 100/s\n  workers: 0", "workload.workers", "0", "from 1"),
        ("rate: 100/s", "rate: 100/s\n  connections: new", "workload.connections", "'new'", "fresh"),
        ("rate: 100/s", 'rate: 100/s\n  cookies: {shop: "a; b"}', "workload.cookies.shop", "'a; b'", "cookie's value"),
        ("rate: 100/s", "replay: {file: a.log}\n  rate: 1/s", "workload.rate", "its own gaps", "replay.timing: rate"),
        ("rate: 100/s", "replay: {file: a.log}", "workload.routes[0].keys", "a log to replay", "the log says which"),
        (KEYS, "keys: {first: 1}", "workload.routes[0].keys", "first alone", "first and last, or file"),
        (KEYS, "keys: {file: k.txt, first: 1, last: 2}", "workload.routes[0].keys.file", "file and first", "either"),
        (KEYS, "keys: {first: 1, last: 9, popularity: hot-set}", "workload.routes[0].keys.hot", "no hot", "how many"),
        (KEYS, "keys: {first: 1, last: 9, hot: 2}", "workload.routes[0].keys.hot", "without hot-set", "hot-set"),
        (
            KEYS,
            "keys: {first: 1, last: 9, popularity: hot-set, hot: 9}",
            "workload.routes[0].keys.hot",
            "9 of 9",
            "fewer",
        ),
        ("status: 200", 'status: 200\n    sha256: "12"', "expected.response.sha256", "'12'", "64 hexadecimal"),
        ("status: 200", "status: 200\n    values: {price: 1}", "expected.response.values.price", "'price'", "$.price"),
        (
            "target:\n",
            "target:\n  db_header: X-N\n  db_metric: sql\n",
            "target.db_metric",
            "db_header and db_metric",
            "one",
        ),
        ("target:\n", "target:\n  http: 3\n", "target.http", "3", "auto"),
    ],
)
def test_workloads_and_answers_that_can_not_be(old: str, new: str, field: str, found: str, expected: str) -> None:
    said = {problem.field: problem for problem in problems(edited((old, new)))}
    assert field in said, sorted(said)
    assert found in said[field].found and expected in said[field].expected, said[field]


def test_stages_hot_sets_files_and_headers_that_are_filled_in() -> None:
    case = parse_case(
        edited(
            ("rate: 100/s", "stages: [{lasts: 5s, rate: 50/s, to: 150/s}, {lasts: 10s, rate: 100/s}]\n  workers: 2"),
            (
                KEYS,
                "keys: {first: 1, last: 500, popularity: hot-set, hot: 5, hot_share: 80 %}\n      headers: {X-K: 'k{key}'}",
            ),
        ),
        file="x.yml",
    )
    assert case.workload.requests_in(5) == 500 and case.workload.requests_in(2.5) == 187.5
    assert case.workload.requests_in(20) == 2000 and case.workload.workers == 2
    assert case.workload.routes[0].keys is not None and case.workload.routes[0].keys.hot_share == 0.8
