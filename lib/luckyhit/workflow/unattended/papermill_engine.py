"""papermill as `luckyhit run` uses it: a faster import, fewer saves, and atomic writes.

papermill saves after each cell in place: a full disk, or a kill in that moment, would leave half a file. Importing this
module takes a second.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from luckyhit.atomic import write_atomically

# jsonschema compiles this grammar for internationalised addresses on import, which takes two seconds and is never used.
_GRAMMAR = "rfc3987_syntax"
_kept_out = _GRAMMAR not in sys.modules
if _kept_out:
    sys.modules[_GRAMMAR] = None  # type: ignore[assignment]
try:
    from papermill import execute_notebook
    from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines
    from papermill.iorw import LocalHandler, papermill_io
finally:
    if _kept_out:
        sys.modules.pop(_GRAMMAR, None)

ENGINE = "luckyhit"
_SAVED_EVERY_S = 5.0


class SavingSeldom(NBClientEngine):
    """papermill's engine without a save before and after each cell, which takes longer than most cells once there are
    figures. The file on disk is at most some seconds old, and complete at the end."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: NotebookExecutionManager, kernel_name: str, **options: Any) -> Any:
        save = nb_man.save

        def save_seldom(**given: Any) -> None:
            if (nb_man.now() - nb_man.last_save_time).total_seconds() >= _SAVED_EVERY_S:
                save(**given)

        nb_man.save = save_seldom
        try:
            return super().execute_managed_notebook(nb_man, kernel_name, **options)
        finally:
            nb_man.save = save  # papermill saves once more at the end


papermill_engines.register(ENGINE, SavingSeldom)


def save_whole(folder: Path) -> None:
    """Make papermill save notebooks in `folder` atomically. Can be repeated."""

    class Whole(LocalHandler):
        def write(self, buf: str, path: str) -> None:
            write_atomically(Path(path), buf.encode("utf-8", "replace").decode("utf-8"))

    papermill_io.register(f"{folder}{os.sep}", Whole())


__all__ = ["ENGINE", "execute_notebook", "save_whole"]
