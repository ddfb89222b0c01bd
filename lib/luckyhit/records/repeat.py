"""What the manifest notes so that a run can be repeated by what its report prints."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Repeat(BaseModel):
    """`case`, `runs_dir` and `reports_dir` are words for a shell, as they are typed in the project's folder (folders
    empty where they are the project's own); `variables` are the names of variables that have to be set."""

    case: str = ""
    runs_dir: str = ""
    reports_dir: str = ""
    variables: list[str] = Field(default_factory=list)
