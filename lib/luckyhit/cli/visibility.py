"""`luckyhit visibility`: a file for a service that tells nothing of its cache."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from luckyhit.cli.app import app


class Framework(StrEnum):
    """What the file is for."""

    asgi = "asgi"
    wsgi = "wsgi"
    django = "django"


@app.command()
def visibility(framework: Annotated[Framework, typer.Argument(help="How the service meets requests.")]) -> None:
    """Print a Python file with which a service tells its cache status and its database calls: headers, a line of log
    for each request, and a route that shows the settings. It needs no other package; the service's owner keeps it."""
    from luckyhit.visibility import visibility_file

    print(visibility_file(framework.value), end="")
