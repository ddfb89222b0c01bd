"""When the kernel of an unattended run is ready."""

from __future__ import annotations

import asyncio
import queue
from collections import deque
from typing import Any

import pytest

from luckyhit.workflow.unattended.kernel_client import PromptClient


class Scripted(PromptClient):
    """Gets these messages instead of those of a kernel, by channel: (of which request, state or type); None: none comes
    in time."""

    def __init__(self, shell: list[Any], outputs: list[Any], *, alive: bool = True) -> None:
        super().__init__()
        self.given = {"shell": deque(shell), "outputs": deque(outputs)}
        self.asked, self.lives, self.handled = 0, alive, 0

    def kernel_info(self) -> str:
        self.asked += 1
        return f"request {self.asked}"

    async def get_shell_msg(self, **_: Any) -> dict[str, Any]:
        return self._next("shell")

    async def get_iopub_msg(self, **_: Any) -> dict[str, Any]:
        return self._next("outputs")

    async def is_alive(self) -> bool:
        return self.lives

    def _next(self, channel: str) -> dict[str, Any]:
        message = self.given[channel].popleft() if self.given[channel] else None
        if message is None:
            raise queue.Empty
        number, state = message
        parent = {} if number is None else {"msg_id": f"request {number}"}
        return {"parent_header": parent, "content": {"execution_state": state}}

    def _handle_kernel_info_reply(self, msg: dict[str, Any]) -> None:
        self.handled += 1


def test_it_is_ready_once_it_says_that_it_is_idle_again() -> None:
    client = Scripted([(1, "ok")], [(None, "starting"), (1, "busy"), (1, "idle"), (2, "busy")])
    asyncio.run(client.wait_for_ready(5.0))
    assert (client.asked, client.handled) == (1, 1)
    assert list(client.given["outputs"]) == [(2, "busy")]


def test_it_is_asked_again_where_outputs_were_not_heard() -> None:
    client = Scripted([None, (1, "ok"), (2, "ok"), (3, "ok")], [(2, "busy"), None, (2, "idle"), (3, "idle")])
    asyncio.run(client.wait_for_ready(5.0))
    assert client.asked == 3 and not any(client.given.values())


def test_a_kernel_that_ended_is_not_waited_for() -> None:
    with pytest.raises(RuntimeError):
        asyncio.run(Scripted([], [], alive=False).wait_for_ready(None))


def test_it_is_not_waited_for_beyond_the_time_given() -> None:
    with pytest.raises(RuntimeError):
        asyncio.run(Scripted([], []).wait_for_ready(0.0))
