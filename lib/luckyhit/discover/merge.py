"""Several sources as one: the same route by method and shape, its names from the source that comes first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from urllib.parse import unquote

from luckyhit.discover.evidence import Parameter, ServiceEvidence, ServiceRoute

MOST_EXAMPLES = 1_000


def merged(sources: Sequence[ServiceEvidence]) -> ServiceEvidence:
    """What all sources say; of two that disagree, the first is right."""
    by_shape: dict[tuple[str, str], ServiceRoute] = {}
    for source in sources:
        for route in _under(source.routes, by_shape):
            shape = shape_of(route)
            by_shape[shape] = _both(by_shape[shape], route) if shape in by_shape else route
    settings = {setting.name: setting for source in reversed(sources) for setting in source.settings}
    order = dict.fromkeys(setting.name for source in sources for setting in source.settings)
    rates = (source.rate for source in sources)
    return ServiceEvidence(
        routes=tuple(by_shape.values()),
        settings=tuple(settings[name] for name in order),
        rate=next((rate for rate in rates if rate is not None), None),
        notes=tuple(dict.fromkeys(note for source in sources for note in source.notes)),
    )


def with_paths(known: ServiceEvidence, routes: Sequence[ServiceRoute]) -> ServiceEvidence:
    """With the routes of paths that were named one by one: examples for the routes that they fit, without a weight."""
    if not routes:
        return known
    weights = {shape_of(route): route.weight for route in known.routes}
    both = merged([known, ServiceEvidence(routes=tuple(routes))])
    return replace(both, routes=tuple(replace(route, weight=weights.get(shape_of(route))) for route in both.routes))


def shape_of(route: ServiceRoute) -> tuple[str, str]:
    """Method and path, whatever its parameters are called."""
    return route.method, re.sub(r"\{[^}]*\}", "{}", route.path)


def _under(routes: Iterable[ServiceRoute], known: Mapping[tuple[str, str], ServiceRoute]) -> Iterable[ServiceRoute]:
    """The routes of one source; those that were taken from requests stand under a known template that fits them:
    `/tags/red` and `/tags/blue` under `/tags/{tag}`, their last parts as examples, their weights added up."""
    under: dict[tuple[str, str], ServiceRoute] = {}
    for route in routes:
        if route.weight is not None and shape_of(route) not in known:
            template = next((declared for declared in known.values() if _fits(declared, route)), None)
            route = _renamed(route, template.path) if template is not None else route
        shape = shape_of(route)
        before = under.get(shape)
        if before is not None:
            weight = (before.weight or 0.0) + (route.weight or 0.0)
            route = replace(_both(before, route), weight=weight)
        under[shape] = route
    return under.values()


def _fits(template: ServiceRoute, route: ServiceRoute) -> bool:
    pairs = list(zip_longest(template.path.split("/"), route.path.split("/"), fillvalue=""))
    fits = all(known == part or (_is_parameter(known) and part) for known, part in pairs)
    return template.method == route.method and fits


def _renamed(route: ServiceRoute, path: str) -> ServiceRoute:
    """The route with the path of a template that it fits."""
    others = {parameter.name: parameter for parameter in route.parameters if parameter.place == "path"}
    parameters = [parameter for parameter in route.parameters if parameter.place != "path"]
    for known, part in zip(path.split("/"), route.path.split("/"), strict=True):
        if _is_parameter(known):
            name = known[1:-1]
            taken = others.get(part[1:-1]) if _is_parameter(part) else Parameter(name, examples=(unquote(part),))
            parameters.append(replace(taken or Parameter(name), name=name))
    return replace(route, path=path, parameters=tuple(parameters))


def _is_parameter(segment: str) -> bool:
    return segment.startswith("{") and segment.endswith("}")


def _both(first: ServiceRoute, second: ServiceRoute) -> ServiceRoute:
    names = dict(zip(_names(second.path), _names(first.path), strict=True))
    known = {(parameter.name, parameter.place): parameter for parameter in first.parameters}
    for parameter in second.parameters:
        key = (
            names.get(parameter.name, parameter.name) if parameter.place == "path" else parameter.name,
            parameter.place,
        )
        known[key] = _parameter(known.get(key), replace(parameter, name=key[0]))
    return replace(
        first,
        parameters=tuple(known.values()),
        body=first.body if first.body is not None else second.body,
        response_schema=first.response_schema if first.response_schema is not None else second.response_schema,
        name=first.name or second.name,
        weight=first.weight if first.weight is not None else second.weight,
        risk=first.risk or second.risk,
        needs_credentials=first.needs_credentials or second.needs_credentials,
        where=tuple(dict.fromkeys((*first.where, *second.where))),
    )


def _parameter(first: Parameter | None, second: Parameter) -> Parameter:
    if first is None:
        return second
    kind = first.kind if first.kind != "string" else second.kind
    examples = tuple(dict.fromkeys((*first.examples, *second.examples)))[:MOST_EXAMPLES]
    return replace(first, kind=kind, choices=first.choices or second.choices, examples=examples)


def _names(path: str) -> Iterable[str]:
    return re.findall(r"\{([^}]*)\}", path)
