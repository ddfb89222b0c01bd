"""The kernel that the notebooks of an unattended run share, and the execution of one notebook in it.

Separate kernels would take five seconds each to start and to import the same libraries. The kernel is reset between
notebooks, so that each can rely on the run directory only. Its process may have been started before (`kernel_entry`);
otherwise it starts, and imports what the first cells need, while this process imports papermill.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from luckyhit.case_run import CaseRun
from luckyhit.scrub.sweep import scrub_notebook
from luckyhit.workflow.late_imports import uncollected
from luckyhit.workflow.step import STOP
from luckyhit.workflow.unattended.interruptions import Interruptions
from luckyhit.workflow.unattended.kernel_handover import hand_over

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager

_NAME = "python3"
_CLIENT = "luckyhit.workflow.unattended.kernel_client.PromptClient"
_START_S = 120
_LOOKS_EVERY_S = 0.5
_POLL_S = 0.1
_CLEANUP_S = 30.0
# No kernel warnings between the progress lines, and no entries in the user's history file.
_OPTIONS = ["--log-level=ERROR", "--HistoryManager.hist_file=:memory:"]
# With all libraries loaded, a full garbage collection takes a third of a second, mostly while a report is made. This
# kernel makes little garbage, and ends with the run.
_IMPORTED = "import gc; gc.set_threshold(100_000, 50, 100); import luckyhit.workflow.workbook"
_AS_NEW = "get_ipython().reset(new_session=True)"


class Kernel:
    """A kernel that starts in the background. `close` ends it, whatever it is doing. `ahead`: a process that was
    started for it (`luckyhit.cli.kernel_ahead`)."""

    def __init__(self, ahead: subprocess.Popen[bytes] | None = None) -> None:
        self._ahead = ahead
        self._manager: AsyncKernelManager | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._start, name="kernel", daemon=True)
        self._thread.start()

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        try:
            asyncio.run(self._launch())
        except BaseException as error:
            self._error = error

    async def _launch(self) -> None:
        from jupyter_client.manager import AsyncKernelManager

        manager = AsyncKernelManager(kernel_name=_NAME, client_class=_CLIENT)
        if self._ahead is not None:
            hand_over(manager, self._ahead)
        await manager.start_kernel(extra_arguments=_OPTIONS)
        self._manager = manager
        await _execute(manager, _IMPORTED)

    def manager(self) -> AsyncKernelManager:
        """The manager of the reset kernel, for papermill. Raises what kept it from starting."""
        self._thread.join(_START_S)
        if self._manager is None:
            raise self._error or TimeoutError(f"the kernel did not start within {_START_S} seconds")
        asyncio.run(_execute(self._manager, _AS_NEW))
        return self._manager

    def interrupt(self, *, kill: bool) -> None:
        """Interrupt what it is doing, or kill it. (Its manager would signal all that it has started, too.)"""
        process = getattr(self._manager.provisioner, "process", None) if self._manager is not None else None
        if process is not None:
            process.send_signal(signal.SIGKILL if kill else signal.SIGINT)

    def close(self) -> None:
        self._thread.join(_START_S)
        if self._manager is not None:
            asyncio.run(_ended(self._manager))


async def _ended(manager: AsyncKernelManager) -> None:
    await manager.shutdown_kernel(now=True)


async def _execute(manager: AsyncKernelManager, code: str) -> None:
    """Execute `code` in the kernel, once it is ready for that. Raises RuntimeError if it ends instead, TimeoutError.

    A client's `wait_for_ready` would take 0.2 s longer, in which it looks for output of others."""
    client = manager.client()
    client.start_channels(iopub=False, stdin=False, hb=False, control=False)
    deadline = time.monotonic() + _START_S
    try:
        client.execute(code, silent=True, store_history=False)
        while time.monotonic() < deadline:
            with contextlib.suppress(queue.Empty):
                await client.get_shell_msg(timeout=_LOOKS_EVERY_S)
                return
            if not await manager.is_alive():
                raise RuntimeError("the kernel ended before it was ready")
    finally:
        client.stop_channels()
    raise TimeoutError(f"the kernel was not ready within {_START_S} seconds")


class Notebook:
    """One notebook of a run, executed in a thread; `error`: what papermill raised, or None."""

    def __init__(self, path: Path, run: CaseRun, kernel: Kernel, parameters: dict[str, Any], *, timeout_s: int) -> None:
        self.path = path
        self.output = run.path / "notebooks" / path.name
        self.run = run
        self.kernel = kernel
        self.parameters = parameters
        self.timeout_s = timeout_s
        self.error: BaseException | None = None

    def _execute(self) -> None:
        try:
            with uncollected():
                from luckyhit.workflow.unattended import papermill_engine  # takes a second, while the kernel starts

            papermill_engine.save_whole(self.output.parent)
            papermill_engine.execute_notebook(
                self.path,
                self.output,
                parameters=self.parameters,
                progress_bar=False,
                log_output=False,
                engine_name=papermill_engine.ENGINE,
                start_timeout=_START_S,
                execution_timeout=self.timeout_s,
                km=self.kernel.manager(),
            )
        except BaseException as error:
            self.error = error

    def execute(self, interruptions: Interruptions) -> None:
        """Run it to its end; after an interruption stop it early, with time to roll back."""
        logging.getLogger("papermill").setLevel(logging.ERROR)
        thread = threading.Thread(target=self._execute, name=f"papermill {self.path.stem}", daemon=True)
        thread.start()
        handled, deadline = 0, None
        while thread.is_alive():
            thread.join(_POLL_S)
            if interruptions.count > handled:
                handled = interruptions.count
                deadline = deadline or time.monotonic() + _CLEANUP_S
                (self.run.path / STOP).touch()  # for a kernel that is between two cells
                self.kernel.interrupt(kill=handled > 1)
            if deadline is not None and time.monotonic() > deadline:
                self.kernel.interrupt(kill=True)
                thread.join(_CLEANUP_S)
                break
        self._redact()

    def _redact(self) -> None:
        if self.output.is_file():
            folders: dict[str | Path, str] = {self.path.parents[1]: "."}
            if reports := self.parameters.get("reports_dir"):
                folders[reports] = "reports"
            try:
                scrub_notebook(self.output, self.run.redactor.with_roots(folders))
            except OSError:  # no room for a scrubbed copy: an unscrubbed one must not be kept
                self.output.unlink()
