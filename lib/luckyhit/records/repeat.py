"""What the manifest notes so that a run can be repeated by what its report prints."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, ValidationError


class Repeat(BaseModel):
    """`case`, `runs_dir` and `reports_dir` are words for a shell, as they are typed in the project's folder (folders
    empty where they are the project's own); `variables` are the names of variables that have to be set."""

    case: str = ""
    runs_dir: str = ""
    reports_dir: str = ""
    variables: list[str] = Field(default_factory=list)

    @classmethod
    def of(cls, noted: Any) -> Repeat:
        """What a manifest says; nothing where it says nothing that can be read (as runs of earlier versions do)."""
        try:
            return cls.model_validate(noted)
        except ValidationError:
            return cls()
