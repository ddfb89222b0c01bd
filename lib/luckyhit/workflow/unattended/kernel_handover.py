"""Let jupyter_client take a process that is there already for the one that it would start."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_client.manager import AsyncKernelManager

_LAUNCHER = "ipykernel_launcher"


def hand_over(manager: AsyncKernelManager, ahead: subprocess.Popen[bytes]) -> None:
    """Let `manager` make `ahead` its kernel when it starts one. It starts its own where the kernel's command is not
    this Python with ipykernel, or `ahead` has ended. (jupyter_client is imported here: it takes a third of a second.)
    """
    from jupyter_client.provisioning import LocalProvisioner

    class HandedOver(LocalProvisioner):
        async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
            arguments = _arguments(cmd)
            if arguments is None or ahead.poll() is not None or not _told(ahead, arguments):
                return await super().launch_kernel(cmd, **kwargs)
            self.process, self.pid, self.pgid = ahead, ahead.pid, ahead.pid  # it leads a session of its own
            self.cwd = kwargs.get("cwd")
            return self.connection_info

    manager.provisioner = HandedOver(parent=manager, kernel_id=manager.kernel_id, kernel_spec=manager.kernel_spec)


def _arguments(command: list[str]) -> list[str] | None:
    """What stands behind `python -m ipykernel_launcher`; None for another command, or another Python."""
    if _LAUNCHER not in command or command[0] != sys.executable:
        return None
    return command[command.index(_LAUNCHER) + 1 :]


def _told(process: subprocess.Popen[bytes], arguments: list[str]) -> bool:
    """Whether the process got the arguments."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.write(json.dumps(arguments).encode() + b"\n")
        process.stdin.flush()
        return True
    return False
