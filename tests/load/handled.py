"""Responses handled one after the other, without a client: checked, hashed and recorded into rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from luckyhit.case.workload import Response, Route, Workload
from luckyhit.load.http1.request_head import Origin
from luckyhit.load.http1.response import HttpResponse
from luckyhit.load.recorder import RequestRecorder
from luckyhit.load.request_templates import RouteTemplate
from luckyhit.load.responses import ResponseHandler
from luckyhit.load.schedule import Schedule, closed_schedule
from luckyhit.load.signals import SignalReader
from luckyhit.records import Arm

ADDRESSES = ("http://127.0.0.1:8001", "http://127.0.0.1:8002")
ARMS: tuple[Arm, Arm] = ("before", "after")


@dataclass
class Handled:
    workload: Workload
    schedule: Schedule
    recorder: RequestRecorder
    responses: ResponseHandler

    def column(self, name: str) -> list[Any]:
        """A column of the rows, by slot."""
        return self.recorder.table().sort_by("slot")[name].to_pylist()

    @property
    def failed(self) -> int:
        counts = self.recorder.accounting()["before"]
        assert counts.exact
        return counts.failed


def handler(*routes: Route, expected: Response | None = None, slots: int = 3, **settings: Any) -> Handled:
    """A closed loop of `slots` requests to both arms."""
    workload = Workload(seed=1, rate="1/s", routes=list(routes))  # type: ignore[arg-type]
    schedule = closed_schedule(workload, slots, 1)
    recorder = RequestRecorder(schedule, ARMS, endless=True)
    templates = [[RouteTemplate(route, Origin.parse(url), {}) for route in routes] for url in ADDRESSES]
    responses = ResponseHandler(schedule, recorder, ARMS, templates, SignalReader(), expected, **settings)
    return Handled(workload, schedule, recorder, responses)


def handle(
    responses: Sequence[HttpResponse | tuple[int, HttpResponse]],
    *routes: Route,
    expected: Response | None = None,
    slots: int = 3,
    **settings: Any,
) -> Handled:
    """Responses (of the first arm, unless it is named by its number), recorded and finished."""
    handled = handler(*(routes or (Route(name="r", path="/r"),)), expected=expected, slots=slots, **settings)
    for slot, one in enumerate(responses):
        arm, response = one if isinstance(one, tuple) else (0, one)
        handled.responses.record(slot, arm, response)
    handled.responses.finish()
    handled.recorder.end(len(responses))
    return handled


def headers(*lines: str) -> list[tuple[bytes, bytes]]:
    pairs = (line.partition(":") for line in lines)
    return [(name.lower().encode(), value.strip().encode("latin-1")) for name, _, value in pairs]


def response(body: bytes, *lines: str, status: int = 200, size: int | None = None, **other: Any) -> HttpResponse:
    """A response with this body and these header lines."""
    whole = len(body) if size is None else size
    return HttpResponse(1, 2, 3, status, None, headers(*lines), body, 1, whole, **other)
