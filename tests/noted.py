"""What a manifest notes, made from plain objects; also from objects that no run would write."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from luckyhit.records.manifest import Manifest, NotedBlock, load_blocks, load_manifest


def noted(entries: Iterable[Any]) -> list[NotedBlock]:
    """These blocks, as far as they can be read."""
    return load_blocks(list(entries))[0]


def manifest_with(**fields: Any) -> Manifest:
    return load_manifest(fields)[0]


def spoil_manifest(run: Path, **fields: Any) -> None:
    """Put any JSON into the manifest of a run directory, past everything that would refuse it."""
    path = run / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
