"""Start the process of a run's kernel before anything else is imported: its imports take as long as all that the
command line does until the first cell."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

KernelProcess = subprocess.Popen[bytes]
# Collecting garbage while modules are made takes a fifth of the time, and finds none. The last place to look for this
# package is the one it was found in; its environment is that of the kernel, and of what that starts.
_CODE = (
    f"import gc, sys; gc.disable(); sys.path.append({str(Path(__file__).parents[2])!r}); "
    "from luckyhit.workflow.unattended import kernel_entry; kernel_entry.main()"
)
_ENDS_WITHIN_S = 5.0


@contextmanager
def kernel_ahead() -> Iterator[KernelProcess]:
    """A process that becomes a kernel once `luckyhit.workflow.unattended.kernel` hands it the arguments of one. It is
    ended when the context is left."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _CODE],
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the command line, which passes it on
        env={**os.environ, "JPY_PARENT_PID": str(os.getpid())},
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        with suppress(OSError):
            process.stdin.close()
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_ENDS_WITHIN_S)
        process.kill()
        process.wait()
