"""Versions of a machine. Sent to workers as text and run there, so it needs nothing of Lucky Hit: it may be missing."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PACKAGES = ("luckyhit", "dask", "distributed", "cloudpickle", "msgpack")
COMPARED = (*PACKAGES, "python", "code", "notebooks")
"""What has to be the same on all machines. code: a digest of Lucky Hit's own modules, which tells two checkouts with
one version number apart. notebooks: of those in the project."""
MISSING = "none"


def host_facts() -> dict[str, Any]:
    """`host`, `folder` (of the process), and each of COMPARED; `none` where something is not there."""
    facts: dict[str, Any] = {"host": socket.gethostname(), "folder": os.getcwd()}  # noqa: PTH109
    for name in PACKAGES:
        try:
            facts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            facts[name] = MISSING
    facts["python"] = ".".join(platform.python_version_tuple()[:2])
    try:
        spec = importlib.util.find_spec("luckyhit")
    except (ImportError, ValueError):
        spec = None
    code = Path(spec.origin).parent if spec is not None and spec.origin else None
    facts["code"] = digest_of(code, "*.py") if code is not None else MISSING
    folder = Path.cwd().resolve()
    around = [path for path in (folder, *folder.parents) if (path / "notebooks").is_dir() and (path / "data").is_dir()]
    facts["project"] = str(around[0]) if around else ""
    facts["notebooks"] = digest_of(around[0] / "notebooks", "*.ipynb") if around else MISSING
    return facts


def digest_of(folder: Path, pattern: str) -> str:
    """Of the contents of all files below `folder` that match, in an order that does not depend on the machine."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob(pattern), key=lambda path: path.relative_to(folder).as_posix()):
        if ".ipynb_checkpoints" not in path.parts:
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def differences(own: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What differs, each with both versions: `luckyhit 0.1.0 here, 0.2.0 there`."""
    return [
        f"{name} {own.get(name, MISSING)} here, {other.get(name, MISSING)} there"
        for name in COMPARED
        if own.get(name, MISSING) != other.get(name, MISSING)
    ]
