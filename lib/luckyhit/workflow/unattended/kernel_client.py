"""The client with which papermill talks to the kernel of an unattended run. (`kernel` names it to jupyter_client, which
imports it: that takes a third of a second.)"""

from __future__ import annotations

import queue
import time

from jupyter_client.asynchronous import AsyncKernelClient

_LOOKS_EVERY_S = 0.5


class PromptClient(AsyncKernelClient):
    """Knows from the kernel itself that it is ready. jupyter_client's own waits for 0.2 s in which nothing comes from
    others, before each notebook."""

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Until the kernel has answered, and a message on the channel of outputs says that it has nothing more to say
        to that. Raises RuntimeError if it ended, or after `timeout` seconds."""
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        while time.monotonic() < deadline:
            if await self._answers(self.kernel_info()):
                return
            if not await self.is_alive():
                raise RuntimeError("the kernel ended before it was ready")
        raise RuntimeError(f"the kernel was not ready within {timeout} seconds")

    async def _answers(self, asked: str) -> bool:
        """Whether both messages on this request came. The second one may be lost: a channel hears nothing of before it
        was connected."""
        try:
            while True:
                reply = await self.get_shell_msg(timeout=_LOOKS_EVERY_S)
                if reply["parent_header"].get("msg_id") == asked:
                    break
            self._handle_kernel_info_reply(reply)
            while True:
                output = await self.get_iopub_msg(timeout=_LOOKS_EVERY_S)
                if (
                    output["parent_header"].get("msg_id") == asked
                    and output["content"].get("execution_state") == "idle"
                ):
                    return True
        except queue.Empty:
            return False
