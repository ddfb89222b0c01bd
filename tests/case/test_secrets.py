"""Secrets written in clear: refused in every field, never repeated, with the place where they belong."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luckyhit.case.docs.template import new_case
from luckyhit.case.load import parse_case
from luckyhit.errors import CaseError
from luckyhit.scrub.secrets import find_secret, is_secret_header, is_secret_name
from tier import examples

GOOD = new_case("good")
# Made up, and put together here so that no scanner of this repository takes them for real ones.
HEX = "0123456789abcdef" * 3
AWS = "AKIA" + "ABCDEFGHIJ234567"
GITHUB = "ghp_" + "a1b2c3d4e5" * 4
OPENAI = "sk-" + "proj4a1b2c3d4e5f6a7b8"
SLACK = "xoxb-" + "123456789012-abcdefghij"
JWT = "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0" + ".c2lnbmF0dXJl"
PEM = "-----BEGIN RSA " + "PRIVATE KEY-----"
PASSWORD = "correct-horse-battery"


def edited(old: str, new: str) -> str:
    assert old in GOOD, old
    return GOOD.replace(old, new, 1)


ENV = 'CACHE_TTL_SECONDS: "60"\n'
COMMAND = '--port, "{port}"]'


@pytest.mark.parametrize(
    ("old", "new", "field", "secret", "where"),
    [
        (ENV, f'DB: "postgres://shop:{PASSWORD}@db/shop"\n', "target.start.env.DB", PASSWORD, "pass_env"),
        ('"{cache_url}"', f'"redis://:{PASSWORD}@localhost:6379/0"', "target.start.env.REDIS_URL", PASSWORD, "pass_env"),
        (ENV, f"DB_PASSWORD: {PASSWORD}\n", "target.start.env.DB_PASSWORD", PASSWORD, "pass_env"),
        (ENV, f"PGPASSWORD: {PASSWORD}\n", "target.start.env.PGPASSWORD", PASSWORD, "pass_env"),
        (ENV, "DJANGO_SECRET_KEY: '(*&^abc'\n", "target.start.env.DJANGO_SECRET_KEY", "(*&^abc", "pass_env"),
        (ENV, "apiKey: 12345678\n", "target.start.env.apiKey", "12345678", "pass_env"),
        (ENV, f"ANYTHING: {AWS}\n", "target.start.env.ANYTHING", AWS, "pass_env"),
        (COMMAND, f'--port, "{{port}}", --db-password, {PASSWORD}]', "target.start.command[7]", PASSWORD, "pass_env"),
        (COMMAND, f'--port, "{{port}}", --token={HEX}]', "target.start.command[6]", HEX, "pass_env"),
        (COMMAND, f'--port, "{{port}}", "REDIS_PASSWORD={PASSWORD}"]', "target.start.command[6]", PASSWORD, "pass_env"),
        ("weight: 9", f"headers: {{Authorization: Bearer {PASSWORD}}}", "workload.routes[0].headers.Authorization", PASSWORD, "headers_env"),
        ("weight: 9", f"headers: {{cookie: 'session={HEX}'}}", "workload.routes[0].headers.cookie", HEX, "headers_env"),
        ("weight: 9", f"headers: {{cookie: 'uid=m{{number}}; session={HEX}'}}", "workload.routes[0].headers.cookie", HEX, "headers_env"),
        ("weight: 9", f"headers: {{cookie: 'session={HEX}{{number}}'}}", "workload.routes[0].headers.cookie", HEX, "headers_env"),
        ("weight: 9", f"headers: {{X-Api-Key: {HEX}}}", "workload.routes[0].headers.X-Api-Key", HEX, "headers_env"),
        ("path: /items/{key}", f"path: /items/{{key}}?api_key={HEX}", "workload.routes[0].path", HEX, "headers_env"),
        ('{price: "{number}"}', f"{{login: {{password: {PASSWORD}}}}}", "workload.routes[1].body.login.password", PASSWORD, "headers_env"),
        ('{price: "{version}"}', f'{{price: "{{version}}", token: {HEX}}}', "freshness.write.body.token", HEX, "headers_env"),
        ("  clear:", f"  url_env: redis://:{PASSWORD}@cache:6379\n  clear:", "cache.url_env", PASSWORD, "cache.url_env"),
        ("  start:", f"  headers_env: {{Authorization: Bearer {JWT}}}\n  start:", "target.headers_env.Authorization", JWT, "headers_env"),
        ("hypothesis: ", f"hypothesis: {GITHUB} #", "hypothesis", GITHUB, "pass_env"),
        ("input: ", f"input: >-\n  Call it with\n  {OPENAI}\n# ", "input", OPENAI, "pass_env"),
        ("suspect: ", f"suspect: curl -H 'Authorization{':'} Bearer {PASSWORD}' localhost #", "suspect", PASSWORD, "pass_env"),
        ("suspect: ", f"suspect: PGPASSWORD={PASSWORD} psql #", "suspect", PASSWORD, "pass_env"),
        ("  - \"TODO: the workload", f"  - {SLACK}\n  - \"TODO: the workload", "assumptions[0]", SLACK, "pass_env"),
        ("failure_mode: ", f"failure_mode: |\n  {PEM}\n  MIIEow\n# ", "failure_mode", PEM, "pass_env"),
        ("noticed: ", f"notice: {JWT}\nnoticed: ", "notice", JWT, "pass_env"),
        ("seed: 1", f"seed: 1  # was {GITHUB}", "workload.seed", GITHUB, "no secret here"),
        ("# Case good.", f"# {AWS}", "(file)", AWS, "no secret here"),
    ],
)  # fmt: skip
def test_a_secret_is_refused_and_not_repeated(old: str, new: str, field: str, secret: str, where: str) -> None:
    text = edited(old, new)
    with pytest.raises(CaseError) as caught:
        parse_case(text)
    refused = [p for p in caught.value.problems if p.field == field and "no secret here" in p.expected]
    assert len(refused) == 1, caught.value.problems
    assert where in refused[0].expected
    first = next(number for number, line in enumerate(text.splitlines(), start=1) if secret in line)
    assert refused[0].line in (first, first - 1, first - 2)  # a block of text is reported where it begins
    assert secret not in str(caught.value)
    assert secret not in repr(caught.value.problems)


def test_a_change_is_no_place_for_a_secret() -> None:
    text = GOOD.replace("name: CACHE_TTL_SECONDS", "name: CACHE_PASSWORD").replace('after: "300"', f"after: {PASSWORD}")
    with pytest.raises(CaseError) as caught:
        parse_case(text)
    assert {"change.before", "change.after"} <= {p.field for p in caught.value.problems}
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        edited("  start:", f"  headers_env: {{X-Tenant: {PASSWORD}}}\n  start:"),
        edited("pass_env: []", f"pass_env: ['{PASSWORD}']"),
        edited("  clear:", f"  url_env: 'cache.internal {PASSWORD}'\n  clear:"),
        edited("title: ", f"title: [{GITHUB}]\ntitel: "),
        edited("title: ", f"{GITHUB}: x\ntitle: "),
        edited("  start:", f"  url: http://u:{PASSWORD}@h/\n  start:"),
        f"title: *{GITHUB}\n",
        f"title: !{GITHUB} x\n",
        f"title: [{GITHUB}\n",
    ],
)
def test_a_secret_in_another_problem_is_not_repeated(text: str) -> None:
    with pytest.raises(CaseError) as caught:
        parse_case(text)
    assert PASSWORD not in str(caught.value)
    assert GITHUB not in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (ENV, 'DATABASE_URL: "postgres://localhost/shop"\n      TOKEN_TTL: "300"\n'),
        (ENV, 'MAX_TOKENS: "5"\n      PASSWORD_MIN_LENGTH: "8"\n      CACHE_KEY: product\n'),
        (ENV, 'REQUIRE_PASSWORD: "true"\n      DB_PASSWORD: ""\n      TOKENIZER: basic\n'),
        (ENV, 'PROXY: "http://localhost:3128/a@b"\n      MAIL: team@example.com\n      RATIO: "1:2@3"\n'),
        (COMMAND, '--port, "{port}", --token-ttl, "300", --key-prefix=shop, --no-password]'),
        ("path: /items/{key}", "path: /items/{key}?page_token=abc&sort=price"),
        ("suspect: ", "suspect: SELECT * FROM sessions WHERE token=$1 AND password = ? #"),
        ("suspect: ", 'suspect: redis-cli -u "redis://:$REDIS_PASSWORD@cache:6379" get x #'),
        ("suspect: ", "suspect: 'curl -H Authorization{} Bearer $TOKEN localhost' #".replace("{}", ":")),
        ("suspect: ", "suspect: psql postgres://{user}:{password}@db/shop, or postgres://user:***@db #"),
        ("suspect: ", "suspect: the task-list-of-the-password-reset-page, sk-learn-something-else-entirely #"),
        ("suspect: ", "suspect: the bearer of bad news; a token bucket; the secret is out; basic auth #"),
        ("weight: 9", "headers: {Accept-Language: de, X-Cache-Key: a, Authorization: ''}"),
        ('{price: "{number}"}', '{price: "{number}", tokens: 5, password_reset: true, cache_key: "{key}"}'),
        ("  start:", "  headers_env: {Authorization: SHOP_AUTHORIZATION, Cookie: SHOP_COOKIE}\n  start:"),
        ("pass_env: []", "pass_env: [DB_PASSWORD, API_TOKEN]"),
        ("weight: 9", "headers: {Cookie: 'uid=m{number}', X-Api-Key: 'user-{key}'}"),
        ("weight: 9", "headers: {Cookie: 'session_token=t{number}; lang={key}'}"),
        ("  within: 100ms", "  variants: [{name: member, headers: {Cookie: 'uid=m{key}'}}, {name: new}]\n  within: 100ms"),
    ],
)  # fmt: skip
def test_lookalikes_of_secrets_are_accepted(old: str, new: str) -> None:
    parse_case(edited(old, new))


@pytest.mark.parametrize("name", ["password", "DB_PASSWORD", "dbPassword", "api-key", "API_KEY", "X-Auth-Token", "clientSecret", "AWS_SECRET_ACCESS_KEY", "PRIVATE_KEY_B64", "sessionToken", "pwd", "SECRET_KEY_OLD"])  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["", "-", "key", "cache_key", "primary_key", "token_ttl", "max_tokens", "tokenizer", "secretary", "page_token", "passwords_file", "keyspace"])  # fmt: skip
def test_names_of_no_secrets(name: str) -> None:
    assert not is_secret_name(name)


def test_headers_that_carry_secrets() -> None:
    assert all(map(is_secret_header, ["Authorization", "proxy-authorization", "COOKIE", "X-CSRF-Token"]))
    assert not any(map(is_secret_header, ["Accept", "Cache-Control", "X-Request-Id"]))


def test_the_kind_of_a_secret_is_named_never_its_value() -> None:
    for text in (AWS, GITHUB, OPENAI, SLACK, JWT, PEM, f"x://u:{PASSWORD}@h", f"api_key={HEX}"):
        kind = find_secret(f"see {text} there")
        assert kind is not None
        assert text not in kind
        assert PASSWORD not in kind


FIELDS = [number for number, line in enumerate(GOOD.splitlines()) if ":" in line and not line.lstrip().startswith("#")]


@given(
    st.sampled_from(FIELDS),
    st.sampled_from([AWS, GITHUB, OPENAI, SLACK, JWT]),
    st.sampled_from(["{}", "'{}'", "[{}]", "{{{}: x}}", "{{x: {}}}", "x {} y", "&a {}", "!{} x", "*{}", "'{{{}}}'", "{{{{{}}}}}", "|\n "
    "       {}", "{}\n "
    " {}: {}"]),
    st.sampled_from(["", "\n\ttab", "\nplan: {}", "\nunknown: 1"]),
)  # fmt: skip
@settings(max_examples=examples(150), deadline=None)
def test_no_message_contains_a_known_secret(at: int, secret: str, form: str, more: str) -> None:
    lines = GOOD.splitlines()
    lines[at] = lines[at].partition(":")[0] + ": " + form.replace("{}", secret)
    with pytest.raises(CaseError) as caught:
        parse_case("\n".join(lines) + more)
    assert secret not in str(caught.value)
    assert secret not in repr(caught.value.problems)


@given(st.text("abcXYZ019 !?'é\\", min_size=4, max_size=100).filter(lambda text: text.strip() and text == text.strip()))
@settings(max_examples=examples(80), deadline=None)
def test_no_message_contains_a_password_repeated_elsewhere(password: str) -> None:
    quoted = "'" + password.replace("'", "''") + "'"
    text = edited(ENV, f"DB_PASSWORD: ''\n      SHOP_PASSWORD: {quoted}\n")
    text = text.replace("name: CACHE_TTL_SECONDS", "name: DB_PASSWORD").replace('before: "60"', f"before: {quoted}")
    with pytest.raises(CaseError) as caught:
        parse_case(text)
    assert password not in str(caught.value)
    assert password not in "".join(p.actual + p.expected for p in caught.value.problems)
