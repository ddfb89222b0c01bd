"""Routes from an OpenAPI document (3.x) or a Swagger one (2.0)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, cast

import httpx
import yaml

from luckyhit.discover.evidence import Body, Parameter, Place, ServiceEvidence, ServiceRoute
from luckyhit.discover.risk import risk_of
from luckyhit.errors import ArgumentError
from luckyhit.text.json_values import is_list, is_object

METHODS = ("get", "put", "post", "patch", "delete")
USUAL_PLACES = (
    "/openapi.json",
    "/api/openapi.json",
    "/swagger.json",
    "/api/schema/?format=json",
    "/schema/?format=json",
    "/api/swagger.json",
    "/v1/openapi.json",
    "/apispec_1.json",
    "/openapi.yaml",
    "/schema/openapi.json",
    "/docs/openapi.json",
)
DEEPEST = 12
"""Levels of a schema that are kept; a cycle ends there."""
DEEPEST_YAML = 200
MOST_BYTES = 20_000_000
MOST_NODES = 2_000
"""Of one schema, references resolved: a document may repeat itself without end."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C reads 5 MB in seconds."""
_KINDS = ("integer", "number", "boolean", "string")
Kind = Literal["integer", "number", "string", "boolean"]


def read_document(text: str, where: str) -> Any:
    """JSON or YAML. Raises ArgumentError."""
    if len(text) > MOST_BYTES:
        raise ArgumentError(f"{where} is too large: {len(text):,} characters, at most {MOST_BYTES:,}")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        _refuse_nesting(text)
        return yaml.load(text, Loader=_LOADER)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise ArgumentError(f"{where} is neither JSON nor YAML: {line}") from None


def _refuse_nesting(text: str) -> None:
    """Raises ValueError: the loader recurses, and the one in C ends the process where the stack does."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST_YAML:
            raise ValueError(f"more than {DEEPEST_YAML} levels")


def from_file(path: Path) -> ServiceEvidence:
    """Raises ArgumentError for a file that can't be read, or is no such document."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentError(f"{path} can't be read: {error}", hint="Name an OpenAPI document.") from None
    return routes_of(read_document(text, str(path)), path.name)


def from_service(client: httpx.Client, place: str = "") -> ServiceEvidence | None:
    """The service's own document, at `place` or a usual one; None where there is none."""
    for path in (place,) if place else USUAL_PLACES:
        try:
            response = client.get(path)
        except httpx.HTTPError:
            continue
        kind = response.headers.get("content-type", "")
        if response.status_code != 200 or "html" in kind or len(response.content) > MOST_BYTES:
            continue
        try:
            return routes_of(read_document(response.text, path), f"GET {path}")
        except ArgumentError:
            if place:
                raise
    return None


def routes_of(document: Any, where: str) -> ServiceEvidence:
    """Raises ArgumentError where it is no OpenAPI document. A part that can't be read is left out, with a note."""
    if not is_object(document) or not ({"openapi", "swagger"} & set(document)):
        raise ArgumentError(
            f"{where} is no OpenAPI document: neither `openapi` nor `swagger` is in it",
            hint="Name a document of OpenAPI 3 or Swagger 2.",
        )
    paths = document.get("paths")
    if not is_object(paths):
        return ServiceEvidence(notes=(f"{where} has no paths.",))
    resolver = _Resolver(document)
    base = str(document.get("basePath") or "").rstrip("/") if "swagger" in document else _server_path(document)
    routes: list[ServiceRoute] = []
    for path, item in paths.items():
        item = resolver.whole(item)
        if not isinstance(path, str) or not path.startswith("/") or not is_object(item):
            resolver.notes.append(f"{where}: a path was left out: {str(path)[:80]!r}.")
            continue
        for method in METHODS:
            operation = item.get(method)
            if is_object(operation):
                place = f"{where} paths.{path}.{method}"
                routes.append(_route(resolver, base + path, method, operation, item, document, place))
    return ServiceEvidence(routes=tuple(routes), notes=tuple(dict.fromkeys(resolver.notes)))


def _server_path(document: Mapping[str, Any]) -> str:
    servers = document.get("servers")
    first = servers[0] if is_list(servers) and servers else None
    url = first.get("url") if is_object(first) else None
    if not isinstance(url, str) or "{" in url:
        return ""
    try:
        return httpx.URL(url).path.rstrip("/")
    except httpx.InvalidURL:
        return ""


def _route(
    resolver: _Resolver,
    path: str,
    method: str,
    operation: Mapping[str, Any],
    item: Mapping[str, Any],
    document: Mapping[str, Any],
    where: str,
) -> ServiceRoute:
    declared: dict[tuple[str, str], Mapping[str, Any]] = {}
    for parameter in (*_listed(item.get("parameters")), *_listed(operation.get("parameters"))):
        whole = resolver.whole(parameter)
        if is_object(whole) and isinstance(whole.get("name"), str):
            declared[whole["name"], str(whole.get("in"))] = whole
    parameters = tuple(_parameter(name, place, part) for (name, place), part in declared.items() if place in _PLACES)
    name = str(operation.get("operationId") or operation.get("summary") or "")[:100]
    # FastAPI makes an id of the function's name, the path and the method.
    name = name.removesuffix(f"{re.sub(r'[^0-9A-Za-z]', '_', path)}_{method}") or name
    operation_id, summary = (str(operation.get(key) or "") for key in ("operationId", "summary"))
    tags = " ".join(str(tag) for tag in _listed(operation.get("tags")))
    security = operation.get("security", document.get("security"))
    return ServiceRoute(
        method=method.upper(),
        path=path,
        parameters=parameters,
        body=_body(resolver, operation, declared),
        name=name,
        response_schema=_response(resolver, operation),
        risk=risk_of(method.upper(), path, operation_id, f"{summary} {tags}"),
        needs_credentials=bool(security) and {} not in _listed(security),
        where=(where,),
    )


_PLACES: dict[str, Place] = {"path": "path", "query": "query", "header": "header"}


def _listed(value: Any) -> list[Any]:
    return value if is_list(value) else []


def _parameter(name: str, place: str, declared: Mapping[str, Any]) -> Parameter:
    schema = declared.get("schema") if is_object(declared.get("schema")) else declared
    schema = cast("Mapping[str, Any]", schema)
    examples = [declared.get("example"), schema.get("example"), schema.get("default")]
    examples += [part.get("value") for part in _values(declared.get("examples")) if is_object(part)]
    examples += _listed(schema.get("examples"))
    if isinstance(schema.get("minimum"), int):
        examples.append(schema["minimum"])
    return Parameter(
        name=name,
        place=_PLACES[place],
        kind=kind_of_schema(schema),
        required=place == "path" or bool(declared.get("required")),
        choices=tuple(str(part) for part in _listed(schema.get("enum"))[:50]),
        examples=tuple(dict.fromkeys(str(part) for part in examples if isinstance(part, str | int | float))),
    )


def _values(value: Any) -> Iterator[Any]:
    yield from value.values() if is_object(value) else ()


def kind_of_schema(schema: Mapping[str, Any]) -> Kind:
    """The JSON type; of several, the first that is no null."""
    types = schema.get("type")
    named = types if is_list(types) else [types]
    for part in (*_listed(schema.get("anyOf")), *_listed(schema.get("oneOf"))):
        named = [*named, part.get("type") if is_object(part) else None]
    return cast("Kind", next((kind for kind in named if kind in _KINDS), "string"))


def _body(
    resolver: _Resolver, operation: Mapping[str, Any], declared: Mapping[tuple[str, str], Mapping[str, Any]]
) -> Body | None:
    whole = resolver.whole(operation.get("requestBody"))
    content = whole.get("content") if is_object(whole) else None
    if is_object(content) and content:
        media = next((kind for kind in content if "json" in str(kind)), next(iter(content)))
        described = content[media] if is_object(content[media]) else {}
        return Body(str(media), resolver.schema(described.get("schema")), described.get("example"))
    old = next((part for (_, place), part in declared.items() if place == "body"), None)
    return Body(schema=resolver.schema(old.get("schema"))) if old is not None else None


def _response(resolver: _Resolver, operation: Mapping[str, Any]) -> dict[str, Any] | None:
    responses = operation.get("responses")
    if not is_object(responses):
        return None
    # YAML reads an unquoted status as a number.
    by_status = {str(status): response for status, response in responses.items()}
    for status in sorted(by_status):
        if not status.startswith("2"):
            continue
        whole = resolver.whole(by_status[status])
        if is_object(whole):
            content = whole.get("content")
            for described in _values(content):
                if is_object(described):
                    return resolver.schema(described.get("schema"))
            return resolver.schema(whole.get("schema"))
    return None


class _Resolver:
    """Follows references inside one document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.notes: list[str] = []
        self._document = document
        self._nodes = 0
        self._schemas: dict[str, dict[str, Any] | None] = {}
        """By reference: most bodies and responses are one, and many are the same."""

    def whole(self, value: Any) -> Any:
        """The value, or what its reference points to; None for a reference that leads nowhere."""
        for _ in range(DEEPEST):
            if not is_object(value) or "$ref" not in value:
                return value
            value = self._target(value["$ref"])
        return None

    def schema(self, value: Any) -> dict[str, Any] | None:
        """A schema with references resolved; cycles end after DEEPEST levels."""
        reference = value.get("$ref") if is_object(value) else None
        if isinstance(reference, str) and reference in self._schemas:
            return self._schemas[reference]
        self._nodes = 0
        resolved = self._resolved(value, 0, ())
        schema = resolved if is_object(resolved) else None
        if isinstance(reference, str):
            self._schemas[reference] = schema
        return schema

    def _resolved(self, value: Any, depth: int, open_references: tuple[str, ...]) -> Any:
        self._nodes += 1
        if depth > DEEPEST or self._nodes > MOST_NODES:
            return {}
        if is_object(value):
            reference = value.get("$ref")
            if isinstance(reference, str):
                if reference in open_references:
                    return {}
                return self._resolved(self._target(reference), depth + 1, (*open_references, reference))
            merged = {
                str(key): self._resolved(part, depth + 1, open_references)
                for key, part in value.items()
                if key != "description"
            }
            return _merged(merged)
        if is_list(value):
            return [self._resolved(part, depth + 1, open_references) for part in value[:200]]
        return value

    def _target(self, reference: Any) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#/"):
            self.notes.append(f"A reference to another document was not followed: {str(reference)[:100]}.")
            return None
        target: Any = self._document
        for part in reference[2:].split("/"):
            part = part.replace("~1", "/").replace("~0", "~")
            if is_list(target) and part.isdigit() and int(part) < len(target):
                target = target[int(part)]
            elif is_object(target) and part in target:
                target = target[part]
            else:
                self.notes.append(f"A reference leads nowhere: {reference[:100]}.")
                return None
        return target


def _merged(schema: dict[str, Any]) -> dict[str, Any]:
    """`allOf` as one schema."""
    parts = schema.get("allOf")
    if not is_list(parts):
        return schema
    merged = {key: value for key, value in schema.items() if key != "allOf"}
    for part in parts:
        if is_object(part):
            for key, value in part.items():
                if key == "properties" and is_object(value):
                    merged["properties"] = {**value, **merged.get("properties", {})}
                elif key == "required" and is_list(value):
                    merged["required"] = [*merged.get("required", []), *value]
                else:
                    merged.setdefault(key, value)
    return merged
