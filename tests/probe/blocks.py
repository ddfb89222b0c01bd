"""Probed blocks that tests look at, measured a few at a time: most of a block is waiting."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from typing import Any

from probed import Measured, cold_values, freshness, measured_block
from versioned_service import FOREVER, VersionedService

from luckyhit.case.workload import Route

ABSENT = {
    "keys": {"first": 20_000, "last": 20_020},
    "create": {"method": "POST", "path": "/things/{key}", "body": {"price": "{version}"}, "status": 201},
    "remove": {"path": "/things/{key}"},
}
REFUSED = {"path": "/things/{key}", "body": {"price": "{version}", "currency": "XXX"}, "status": 422}
DETAIL = {"name": "detail", "path": "/things/{key}", "version": "$.data[0].price"}
LIST = {"name": "list", "path": "/list/{key}", "version": "$.things[?@.id == {key}].price"}
BY_HEADER = {"name": "detail", "path": "/things/{key}", "header": "x-version", "regex": r"^v(\d+)$"}
WRITE_REFUSED_BY_STATE = {
    "path": "/things/{key}",
    "body": {"price": "{version}", "id": "{key}"},
    "refused": {"status": [409]},
}
VARIANTS = [
    {"name": "german", "headers": {"Accept-Language": "de"}},
    {"name": "french", "headers": {"Accept-Language": "fr"}},
]
WARM, POLLED = {"prestates": ["warm"]}, {"modes": ["burst"], "rate": "15/s"}


def route(**other: Any) -> Route:
    return Route.model_validate({"name": "item", "path": "/things/{key}", "keys": {"first": 1, "last": 9}, **other})


ROUTES = [
    route(),
    route(name="german", headers={"Accept-Language": "de", "X-Request": "{number}"}),
    route(name="german-too", headers={"accept-language": "de"}),
    route(name="other", path="/list/{key}", headers={"Accept-Language": "fr"}),
    route(name="write", method="PUT", headers={"Accept-Language": "it"}),
]


class FailingOnCreated(VersionedService):
    """Answers 500 to reads of what was created."""

    async def response(self, method: str, path: str, body: bytes, worker: int) -> tuple[int, Any]:
        created = method == "GET" and self.stored(path.rsplit("/", 1)[-1]) not in (None, 500)
        return (500, {}) if created else await super().response(method, path, body, worker)


def _window(window_s: float) -> dict[str, Any]:
    horizon_s = max(0.2, window_s * 1.3)
    spec = {"horizon": f"{horizon_s * 1e3:.0f}ms", "modes": ["burst"], "rate": "10/s", **WARM}
    return {"service": {"window_s": window_s}, "spec": spec, "seconds": horizon_s + 0.9}


# By name: `service` (fields of VersionedService), `spec` (of the probe's section), and arguments of `measured_block`.
BATCHES: list[dict[str, dict[str, Any]]] = [
    {
        "window 0.01": _window(0.01),
        "window 0.1": _window(0.1),
        "window 0.4": _window(0.4),
        "curve": {"service": {"window_s": 0.4}, "spec": {"horizon": "700ms", **WARM}, "seconds": 1.4},
    },
    {"window 1.0": _window(1.0), "window 5.0": _window(5.0)},
    {
        "healthy": {"service": {"etags": True}},
        "stuck": {"service": {"window_s": FOREVER}},
        "cached": {"service": {"cached": True}},
        "cached conditional": {"service": {"cached": True, "etags": True}, "spec": WARM},
    },
    {
        "race": {
            "service": {"load_s": 0.05},
            "spec": {"prestates": ["in-flight"], "modes": ["once"], "rate": "40/s"},
            "seconds": 1.2,
        },
        "no race": {"service": {"load_s": 0.05}, "spec": {"rate": "40/s", **WARM}, "seconds": 1.0},
    },
    {
        "polled race": {
            "service": {"load_s": 0.02},
            "spec": {"prestates": ["warm", "in-flight"], **POLLED},
            "seconds": 1.2,
        },
        "polled absence": {
            "service": {"cached_absence": True},
            "spec": {"absent": ABSENT, **WARM, **POLLED},
            "seconds": 1.2,
            "restore": True,
        },
    },
    {
        "cached absence": {
            "service": {"cached_absence": True},
            "spec": {"absent": ABSENT, "prestates": ["cold"]},
            "preflight": True,
            "restore": True,
        },
        "absence": {"spec": {"absent": ABSENT, "prestates": ["cold"]}},
        "late list": {"service": {"list_window_s": FOREVER}, "spec": {"absent": ABSENT, "reads": [LIST], **WARM}},
        "errors on created": {
            "service": {"class": FailingOnCreated},
            "spec": {"absent": ABSENT, "modes": ["once"], "rate": "80/s", **WARM},
        },
    },
    {
        name: {
            "service": {"leaks": leaks},
            "spec": {"refused": REFUSED, "rate": "60/s", **WARM},
            "seconds": 1.0,
            "preflight": True,
            "restore": True,
        }
        for name, leaks in (("refused", False), ("refused and committed", True))
    },
    {
        "conditional": {"service": {"etags": True}, "spec": {"rate": "60/s", **WARM}, "seconds": 1.0},
        "two workers": {
            "service": {"workers": 2},
            "spec": {"modes": ["burst"]},
            "arm": {"worker_header": "X-Worker"},
        },
    },
    {
        "list behind": {"service": {"list_window_s": FOREVER}, "spec": {"reads": [BY_HEADER, LIST], **WARM}},
        "bursts": {"spec": {"modes": ["burst"], "reads": [DETAIL, LIST]}},
        "regex": {"spec": {"reads": [{"path": "/list/{key}", "regex": r'"id": {key}, "price": (\d+)'}]}},
        "no write": {"service": {"commits": False}},
    },
    {
        "every third refused": {"service": {"refuse_every": 3}, "spec": WARM},
        "every third refused by state": {
            "service": {"refuse_every": 3},
            "spec": {"write": WRITE_REFUSED_BY_STATE},
        },
        "refused but written": {"service": {"write_status": 409}, "spec": WARM},
        "no field": {"service": {"field_name": "cost"}},
    },
    {
        "both arms": {"service": {}, "other": {"window_s": 0.1}},
        "with headers": {"arm": {"headers": {"x-token": "s3cret"}}},
        "put back": {"preflight": True, "restore": True},
        "put back, cached": {"service": {"cached": True}, "preflight": True, "restore": True},
    },
    {
        "cold": {
            "spec": {"prestates": ["cold"], "modes": ["once"]},
            "restore": True,
            "arm": {"originals": cold_values(freshness(), 77)},
        },
        "no survey": {"arm": {"originals": {}}},
        "few keys": {"spec": {"keys": {"first": 1, "last": 6}, **WARM}, "seconds": 1.3},
        "slow": {
            "service": {"pause_s": 0.3},
            "spec": {"rate": "20/s", "horizon": "400ms", **WARM},
            "seconds": 1.0,
        },
    },
    {
        "two percent": {"service": {"cached": True}, "spec": {"rate": None, **WARM}, "requests": 5000},
        "few requests": {"spec": {"rate": None, **WARM}, "requests": 90},
        "short block": {"spec": {"horizon": "600ms"}, "seconds": 0.5},
        "values too high": {"service": {"original": 5000}, "spec": WARM},
        "values of an earlier block": {
            "service": {"original": 1500},
            "spec": WARM,
            "first_version": 2000,
            "arm": {"originals": {}},
        },
    },
    {
        "german and french": {"spec": {"variants": VARIANTS, **WARM}},
        "french not emptied": {
            "service": {"vary": "accept-language", "emptied": "de"},
            "spec": {"variants": VARIANTS, **WARM},
            "preflight": True,
        },
        "variants of the workload": {"spec": WARM, "arm": {"routes": ROUTES}},
        "down": {"url": True, "restore": True},
    },
]


async def _measured(service: Mapping[str, Any] | None, other: Mapping[str, Any] | None, arguments: Any) -> Measured:
    fields = dict(service or {})
    services: list[VersionedService | str] = [fields.pop("class", VersionedService)(**fields)]
    if other is not None:
        services.append(VersionedService(**other))
    if arguments.pop("url", False):
        with closing(socket.create_server(("127.0.0.1", 0))) as unused:
            services = [f"http://127.0.0.1:{unused.getsockname()[1]}"]
    return await measured_block(*services, **arguments)


@cache
def _batch(number: int) -> dict[str, Measured]:
    async def together() -> list[Measured]:
        blocks = [dict(block) for block in BATCHES[number].values()]
        return await asyncio.gather(
            *(_measured(block.pop("service", None), block.pop("other", None), block) for block in blocks)
        )

    return dict(zip(BATCHES[number], asyncio.run(together()), strict=True))


def block(name: str) -> Measured:
    """The block of that name, measured once for all tests together with the others of its batch."""
    (number,) = (number for number, batch in enumerate(BATCHES) if name in batch)
    return _batch(number)[name]
