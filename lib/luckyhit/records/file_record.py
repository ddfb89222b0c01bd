"""What every record has in common: nothing unknown in it, and nothing changed afterwards."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class FileRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
