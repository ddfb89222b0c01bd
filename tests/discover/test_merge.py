"""Several sources as one: names of the first, examples of all, weights of the log."""

from __future__ import annotations

from luckyhit.discover.evidence import Parameter, ServiceEvidence, ServiceRoute, Setting
from luckyhit.discover.merge import merged

DECLARED = ServiceEvidence(
    (
        ServiceRoute("GET", "/items/{sku}", (Parameter("sku", kind="integer", examples=("1",)),), where=("openapi",)),
        ServiceRoute("GET", "/tags/{tag}", (Parameter("tag"),)),
        ServiceRoute("GET", "/items/search"),
    )
)


def test_same_route_keeps_the_first_names_and_all_examples() -> None:
    log = ServiceEvidence(
        (ServiceRoute("GET", "/items/{id}", (Parameter("id", examples=("7", "1")),), weight=0.5, where=("log",)),)
    )
    item = merged([DECLARED, log]).routes[0]
    assert item.path == "/items/{sku}" and item.weight == 0.5 and item.where == ("openapi", "log")
    assert [(each.name, each.kind, each.examples) for each in item.parameters] == [("sku", "integer", ("1", "7"))]


def test_requested_paths_stand_under_a_declared_template() -> None:
    requested = (
        ServiceRoute("GET", "/tags/red", weight=0.25), ServiceRoute("GET", "/tags/dark%20blue", weight=0.5),
        ServiceRoute("GET", "/items/search", weight=0.125), ServiceRoute("GET", "/other", weight=0.125),
    )  # fmt: skip
    routes = {route.path: route for route in merged([DECLARED, ServiceEvidence(requested)]).routes}
    assert set(routes) == {"/items/{sku}", "/tags/{tag}", "/items/search", "/other"}
    assert routes["/tags/{tag}"].weight == 0.75
    assert routes["/tags/{tag}"].parameters[0].examples == ("red", "dark blue")
    assert routes["/items/search"].weight == 0.125 and routes["/items/{sku}"].weight is None


def test_methods_stay_apart_and_settings_are_merged() -> None:
    other = ServiceEvidence(
        (ServiceRoute("PUT", "/items/{id}"),), (Setting("TTL", "1"), Setting("SIZE")), rate=3.0, notes=("a",)
    )
    both = merged([ServiceEvidence(settings=(Setting("TTL", "60"),), notes=("a",)), DECLARED, other])
    assert [(each.name, each.default) for each in both.settings] == [("TTL", "60"), ("SIZE", None)]
    assert both.rate == 3.0 and both.notes == ("a",)
    assert len(both.routes) == 4
