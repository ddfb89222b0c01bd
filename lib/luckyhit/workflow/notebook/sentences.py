"""Sentences that the cells of a notebook show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from luckyhit.case_run import CaseRun
from luckyhit.errors import LuckyHitError, NotEnoughData, RollbackNotConfirmed
from luckyhit.records import Rollback

if TYPE_CHECKING:
    from IPython.display import Markdown


def show(text: str) -> None:
    """Show a sentence beside what the cell returns."""
    from IPython.display import display

    display(sentence(text))


def sentence(text: str) -> Markdown:
    from IPython.display import Markdown

    return Markdown(text)


def rolled_back(run: CaseRun, *, unconfirmed: str = "not confirmed") -> str:
    rollback = run.manifest.rollback or Rollback(detail="nothing was recorded")
    return f"Rollback {'confirmed' if rollback.confirmed else unconfirmed}: {rollback.detail}"


def interrupted(run: CaseRun, again: str) -> LuckyHitError:
    """The error in place of KeyboardInterrupt, with the state of the rollback."""
    manifest = run.manifest
    if manifest.changed:
        hint = manifest.failure.hint if manifest.failure else ""
        hint = hint or f"Try `luckyhit revert {run.called}`."
        return RollbackNotConfirmed(f"Interrupted. {rolled_back(run)}", hint=hint)
    return NotEnoughData(f"Interrupted. {rolled_back(run)}", hint=again)
