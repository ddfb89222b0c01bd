"""papermill as `luckyhit run` uses it: imported without what no notebook needs, and saving now and then.

To import this module takes a second.
"""

from __future__ import annotations

import sys
from typing import Any

# Where jsonschema finds this grammar of internationalised addresses, it compiles it at once: two more seconds, for a
# kind of field that no notebook has.
_GRAMMAR = "rfc3987_syntax"
_kept_out = _GRAMMAR not in sys.modules
if _kept_out:
    sys.modules[_GRAMMAR] = None  # type: ignore[assignment]
try:
    import papermill
    from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines
finally:
    if _kept_out:
        sys.modules.pop(_GRAMMAR, None)

ENGINE = "luckyhit"
_SAVED_EVERY_S = 5.0


class SavingSeldom(NBClientEngine):
    """papermill's own engine, which writes the whole notebook before and after each cell: with the figures in it that
    takes longer than most of our cells. Here what is on disk is some seconds old at most, and whole at the end."""

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
            nb_man.save = save  # papermill saves once more, however it ended


papermill_engines.register(ENGINE, SavingSeldom)

__all__ = ["ENGINE", "papermill"]
