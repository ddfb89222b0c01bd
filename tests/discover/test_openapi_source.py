"""Routes from OpenAPI and Swagger documents, good ones and bad ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from luckyhit.discover.evidence import ServiceRoute
from luckyhit.discover.sources import openapi
from luckyhit.errors import ArgumentError


def document(paths: Any, **more: Any) -> dict[str, Any]:
    return {"openapi": "3.1.0", "paths": paths, **more}


def only(read: dict[str, Any]) -> ServiceRoute:
    (route,) = openapi.routes_of(read, "x").routes
    return route


def test_parameters_of_path_and_operation_are_joined() -> None:
    item = {
        "parameters": [{"name": "id", "in": "path", "schema": {"type": "integer", "minimum": 5}}],
        "get": {
            "parameters": [{"name": "sort", "in": "query", "schema": {"enum": ["a", "b"]}}],
            "security": [{"key": []}],
        },
    }
    route = only(document({"/items/{id}": item}))
    known = {each.name: each for each in route.parameters}
    assert known["id"].kind == "integer" and known["id"].required and known["id"].examples == ("5",)
    assert known["sort"].choices == ("a", "b") and not known["sort"].required
    assert route.needs_credentials


def test_cyclic_schemas_end_and_external_ones_are_a_note() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}, "n": {"type": "integer"}}}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Node"}}}
    outside = {"application/json": {"schema": {"$ref": "other.yaml#/Node"}}}
    put = {"requestBody": {"content": content}, "responses": {"200": {"content": outside}}}
    evidence = openapi.routes_of(document({"/n": {"put": put}}, components={"schemas": {"Node": node}}), "x")
    body = evidence.routes[0].body
    assert body is not None and body.schema is not None
    assert body.schema["properties"] == {"next": {}, "n": {"type": "integer"}}
    assert evidence.notes


def test_swagger_2_has_its_base_and_body() -> None:
    body = {"name": "body", "in": "body", "schema": {"type": "object"}}
    route = only({"swagger": "2.0", "basePath": "/api/", "paths": {"/x": {"put": {"parameters": [body]}}}})
    assert route.path == "/api/x" and route.body is not None and route.body.schema == {"type": "object"}


def test_yaml_is_read_like_json(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "openapi: 3.0.0\npaths:\n  /x:\n    get:\n      responses:\n        200: {description: a}\n"
    )
    (tmp_path / "a.json").write_text(json.dumps(document({"/x": {"get": {}}})))
    for name in ("a.yaml", "a.json"):
        assert [route.path for route in openapi.from_file(tmp_path / name).routes] == ["/x"]


@pytest.mark.parametrize("text", ["", "[]", "{", "<html>", "a: [", "info: {}", "[" * 100_000, "- " * 100_000, "\x00"])
def test_what_is_no_document_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ArgumentError):
        openapi.from_file(tmp_path / "x.json")


@pytest.mark.parametrize(
    "paths", [None, [], {"x": {}}, {"/x": None}, {"/x": {"$ref": "#/paths/~1x"}}, {1: {"get": {}}}]
)
def test_wrong_paths_give_no_route(paths: Any) -> None:
    evidence = openapi.routes_of(document(paths), "x")
    assert not evidence.routes


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_document_of_five_megabytes_is_read(form: str, tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {f"field_{number}": {"type": "integer"} for number in range(40)}}
    operation = {"summary": "x" * 3_000, "requestBody": {"content": {"application/json": {"schema": schema}}}}
    text = json.dumps(document({f"/r{number}/{{id}}": {"put": operation} for number in range(1_250)}))
    path = tmp_path / f"large.{form}"
    path.write_text(text if form == "json" else "# the same\n" + text)
    assert path.stat().st_size > 5_000_000
    routes = openapi.from_file(path).routes
    assert len(routes) == 1_250 and all(route.body is not None for route in routes)


def test_document_that_refers_to_itself_everywhere_is_read() -> None:
    count = 60
    schemas = {
        f"S{one}": {"properties": {f"p{other}": {"$ref": f"#/components/schemas/S{other}"} for other in range(count)}}
        for one in range(count)
    }
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/S0"}}}
    paths = {f"/r{number}": {"post": {"requestBody": {"content": content}}} for number in range(500)}
    assert len(openapi.routes_of(document(paths, components={"schemas": schemas}), "x").routes) == 500
