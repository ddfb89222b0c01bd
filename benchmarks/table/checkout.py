"""A checkout of another revision, in a temporary folder, for as long as the table is made."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


class NoCheckout(Exception):
    """The revision is not to be had."""


@contextmanager
def checkout(revision: str, root: Path = ROOT) -> Iterator[Path]:
    """A detached worktree of `revision`; it is removed at the end. Raises NoCheckout."""
    with tempfile.TemporaryDirectory(prefix="luckyhit-base-") as folder:
        place = Path(folder) / "base"
        _git(root, "worktree", "add", "--detach", "--quiet", str(place), revision, revision=revision)
        try:
            yield place
        finally:
            _git(root, "worktree", "remove", "--force", str(place), revision=revision)


def _git(root: Path, *words: str, revision: str) -> None:
    try:
        subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise NoCheckout("git is not installed") from None
    except subprocess.CalledProcessError as error:
        why = error.stderr.strip().splitlines()[-1] if error.stderr.strip() else f"status {error.returncode}"
        raise NoCheckout(f"no checkout of {revision}: {why}") from None
