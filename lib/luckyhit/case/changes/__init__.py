"""The one change of a case: a row per kind.

A new kind is a file here, a row in `Change`, and a file and row in `luckyhit.change.kinds`.
"""

from __future__ import annotations

from typing import Annotated, get_args

from pydantic import Field

from luckyhit.case.changes.argument import ArgumentChange
from luckyhit.case.changes.cache_setting import CacheSettingChange
from luckyhit.case.changes.command import CommandChange
from luckyhit.case.changes.env import EnvChange
from luckyhit.case.changes.http import HttpChange
from luckyhit.case.changes.none import NoChange
from luckyhit.case.changes.revision import RevisionChange
from luckyhit.case.changes.spec import ChangeSpec
from luckyhit.case.changes.sql import SqlChange

Change = Annotated[
    EnvChange
    | ArgumentChange
    | RevisionChange
    | CacheSettingChange
    | HttpChange
    | CommandChange
    | SqlChange
    | NoChange,
    Field(discriminator="kind"),
]
"""What one case changes."""

MODELS: dict[str, type[ChangeSpec]] = {
    get_args(model.model_fields["kind"].annotation)[0]: model for model in get_args(get_args(Change)[0])
}
"""The model of each kind, in the order of the reference."""
INVERSE_WORDS = {inverse: words for model in MODELS.values() for inverse, words in model.inverses.items()}
"""By kind of inverse in a journal: what undoing such a step does."""

__all__ = ["INVERSE_WORDS", "MODELS", "Change", "ChangeSpec"]
