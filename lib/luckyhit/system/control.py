"""How the control plane (preflight, health, configuration) talks to a service: with the protocol and TLS of the
load."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from luckyhit.case.target import Target
from luckyhit.errors import ArgumentError


def authorities(target: Target, project: Path) -> str | None:
    """The file of the trusted authorities, None for the system's. Raises ArgumentError where it can't be used."""
    if target.ca_file is None:
        return None
    path = project / target.ca_file
    try:
        ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise ArgumentError(
            f"target.ca_file: no certificates can be read from {path}: {error}",
            hint="Expected a PEM file with the certificates of authorities; its path is relative to the project.",
        ) from None
    return str(path)


def client_options(target: Target, base_url: str, project: Path) -> dict[str, Any]:
    """Arguments for an httpx client."""
    options: dict[str, Any] = {"http2": target.http != "1.1", "http1": target.http != "2", "verify": False}
    if base_url.startswith("https:"):  # loading the certificates takes longer than all the rest
        path = authorities(target, project)
        options["verify"] = ssl.create_default_context(cafile=path)
    return options
