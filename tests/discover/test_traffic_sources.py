"""What logs and archives say: templates cover their paths, weights and ids are right, no secret is kept."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from luckyhit.discover.evidence import ServiceEvidence, ServiceRoute
from luckyhit.discover.sources import access_log, har
from luckyhit.discover.sources.paths import templates_of
from luckyhit.errors import ArgumentError
from tier import examples

segments = st.one_of(
    st.from_regex(r"[a-z]{1,8}", fullmatch=True),
    st.integers(0, 999).map(str),
    st.uuids().map(str),
    st.text(st.characters(codec="utf-8", exclude_characters="/?#"), max_size=12),
)
paths = st.lists(segments, min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts))


@hypothesis_settings(max_examples=examples(200), deadline=None)
@given(st.lists(paths, min_size=1, max_size=40))
def test_templates_cover_the_paths_they_came_from(requested: list[str]) -> None:
    matches = templates_of(requested)
    assert set(matches) == set(requested)
    for path, match in matches.items():
        filled = match.template
        assert len(set(match.names)) == len(match.names) == len(match.values) == len(match.kinds)
        for name in match.names:
            assert f"{{{name}}}" in filled
        parts = iter(match.values)
        rebuilt = "/".join(next(parts) if part.startswith("{") else part for part in filled.split("/"))
        assert rebuilt == path


@pytest.mark.parametrize(
    ("requested", "template"),
    [
        (["/items/7", "/items/8"], "/items/{id}"),
        ([f"/items/{uuid4()}"], "/items/{id}"),
        (["/files/9f86d081884c7d659a2feaa0c55ad015"], "/files/{id}"),
        (["/users/3/posts/9"], "/users/{user_id}/posts/{post_id}"),
        ([f"/blog/my-post-{word}" for word in ("one", "two", "three", "four")], "/blog/{id}"),
        ([f"/tags/{letter * 3}" for letter in "abcdefghijklmn"], "/tags/{id}"),
    ],
)
def test_identifiers_become_parameters(requested: list[str], template: str) -> None:
    assert {match.template for match in templates_of(requested).values()} == {template}


def test_resources_and_versions_stay_literal() -> None:
    requested = ["/api/v1/items", "/api/v2/items", "/api/v3/items", "/api/v4/items", "/health", "/items/search"]
    assert {match.template for match in templates_of(requested).values()} == set(requested)


def entry(url: str, method: str = "GET", status: int = 200, **more: Any) -> dict[str, Any]:
    request = {"method": method, "url": url, "headers": [], **more}
    return {"request": request, "response": {"status": status, "headers": [], "content": {}}}


def archive(*entries: Any) -> dict[str, Any]:
    return {"log": {"version": "1.2", "entries": list(entries)}}


def by_route(evidence: ServiceEvidence) -> dict[tuple[str, str], ServiceRoute]:
    return {(route.method, route.path): route for route in evidence.routes}


def test_archive_gives_routes_of_the_host_most_asked() -> None:
    posted = {"mimeType": "application/json", "text": json.dumps({"price": 3, "name": "a"})}
    evidence = har.routes_of(
        archive(
            entry("http://shop:8000/items/7?currency=EUR"), entry("http://shop:8000/items/8?currency=EUR"),
            entry("http://shop:8000/items/7?currency=SEK"), entry("http://shop:8000/items/7", "PUT", postData=posted),
            entry("http://ads.example/track"), entry("http://shop:8000/items/404", status=404), "no entry",
        ),
        "shop.har",
    )  # fmt: skip
    routes = by_route(evidence)
    assert set(routes) == {("GET", "/items/{id}"), ("PUT", "/items/{id}")}
    read, write = routes["GET", "/items/{id}"], routes["PUT", "/items/{id}"]
    assert read.weight == 0.75
    known = {parameter.name: parameter for parameter in read.parameters}
    assert known["id"].examples == ("7", "8") and known["id"].kind == "integer"
    assert known["currency"].place == "query" and known["currency"].examples[0] == "EUR"
    assert write.body is not None and write.body.example == {"price": 3, "name": "a"}
    assert write.body.schema is not None and write.body.schema["properties"]["price"] == {"type": "integer"}
    assert any("ads.example" in note for note in evidence.notes)


def test_archive_of_another_host_can_be_asked_for() -> None:
    document = archive(entry("http://a/x"), entry("http://a/y"), entry("http://b/z"))
    assert [route.path for route in har.routes_of(document, "x.har", "b").routes] == ["/z"]
    with pytest.raises(ArgumentError):
        har.routes_of(document, "x.har", "c")


secrets = st.from_regex(r"[A-Za-z][A-Za-z0-9]{8,30}[0-9][A-Za-z]", fullmatch=True).filter(
    lambda text: text.lower() not in "application/json"
)


@hypothesis_settings(max_examples=examples(150), deadline=None)
@given(secrets, st.integers(0, 11))
def test_no_secret_of_an_archive_is_kept(secret: str, place: int) -> None:
    basic = base64.b64encode(f"anna:{secret}".encode()).decode()
    carriers: list[dict[str, Any]] = [
        {"headers": [{"name": "Authorization", "value": f"Bearer {secret}"}]},
        {"headers": [{"name": "authorization", "value": f"Basic {basic}"}]},
        {"headers": [{"name": "Cookie", "value": f"theme=dark; session={secret}"}]},
        {"cookies": [{"name": "sid", "value": secret}]},
        {"headers": [{"name": "X-Api-Key", "value": secret}]},
        {"postData": {"mimeType": "application/json", "text": json.dumps({"user": {"password": secret}})}},
        {"postData": {"mimeType": "application/x-www-form-urlencoded", "text": f"password={secret}&name=a"}},
        {"postData": {"mimeType": "x", "params": [{"name": "client_secret", "value": secret}]}},
        {
            "postData": {
                "mimeType": "application/json",
                "text": json.dumps({"tokens": [secret], "access_token": secret}),
            }
        },
    ]
    urls = [
        f"http://shop/items?access_token={secret}", f"http://anna:{secret}@shop/items", f"http://shop/token/{secret}",
    ]  # fmt: skip
    if place < len(carriers):
        # The value stands in other places too, where nothing says that it is one.
        note = {"mimeType": "application/json", "text": json.dumps({"note": f"see {secret}", secret: 1})}
        entries = [
            entry("http://shop/items", "POST", **carriers[place]),
            entry(f"http://shop/hooks/{secret}/x?next={secret}", "PUT", postData=note),
        ]
    else:
        entries = [entry(urls[place - len(carriers)])]
    evidence = har.routes_of(archive(*entries), "shop.har")
    assert evidence.routes
    assert secret not in repr(evidence) and basic not in repr(evidence)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"log": {}}', '{"log": {"entries": []}}', "<html>", "[" * 100_000])
def test_no_archive_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.har").write_text(text)
    with pytest.raises(ArgumentError):
        har.from_file(tmp_path / "x.har")
    with pytest.raises(ArgumentError):
        har.from_file(tmp_path / "missing.har")


def log_of(*requests: tuple[int, str]) -> str:
    return "".join(
        f'127.0.0.1 - - [29/Nov/2026:16:{minute:02}:{number % 60:02} +0000] "{request} HTTP/1.1" 200 2\n'
        for number, (minute, request) in enumerate(requests)
    )


def test_log_gives_weights_popularity_and_rate(tmp_path: Path) -> None:
    quiet = [(minute, "GET /items/1") for minute in range(9)]
    busy = [(9, f"GET /items/{2 if number % 3 else 3}") for number in range(90)] + [(9, "PUT /items/2")] * 30
    (tmp_path / "access.log").write_text(log_of(*quiet, *busy) + "not a request\n")
    evidence = access_log.from_file(tmp_path / "access.log")
    routes = by_route(evidence)
    assert set(routes) == {("GET", "/items/{id}"), ("PUT", "/items/{id}")}
    assert routes["GET", "/items/{id}"].parameters[0].examples == ("2", "3", "1")
    assert routes["GET", "/items/{id}"].weight == pytest.approx(99 / 129)
    assert evidence.rate == pytest.approx(2.0)
    assert len(evidence.notes) == 1


def test_secret_in_a_logged_query_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "access.log").write_text(
        log_of((0, "GET /items?api_key=abcdef123456&page=2"), (1, "GET /items?page=3"))
    )
    evidence = access_log.from_file(tmp_path / "access.log")
    assert "abcdef123456" not in repr(evidence)
    assert evidence.routes[0].needs_credentials


@pytest.mark.parametrize("text", ["", "nothing here\n", "\x00\xff"])
def test_file_that_is_no_log_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "access.log").write_text(text)
    with pytest.raises(ArgumentError):
        access_log.from_file(tmp_path / "access.log")
