"""Where a service's source is, if not in the directory that the case starts it in.

A command may leave that directory (`cd`, `--chdir`, `exec` of a script elsewhere). Its Git revision then says nothing
about the service: mostly it is that of the project with the case in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from luckyhit.change.fingerprints.interpreter import RunningPython, running_below
from luckyhit.change.fingerprints.sources import repository_of

if TYPE_CHECKING:
    from luckyhit.system import Stack

OWN_MODULES = Path(__file__).resolve().parents[3]
"""Lucky Hit's own: a service that it starts inherits this path, and is made of none of it."""
_SCRIPTS = (".py", ".sh")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def source_elsewhere(stack: Stack, module_directories: Sequence[Path]) -> list[Path] | None:
    """The directories of the service's source, as far as its command, its process and the `module_directories` of its
    interpreter show; None where that is the working directory of the case."""
    start = stack.case.target.start
    running = running_below(stack.pid) if stack.pid is not None else None
    if not (start is not None and start.in_workdir) and not _left(stack, running):
        return None
    places = [*code_named(stack.command, stack.cwd)]
    if running is not None:
        places += [*code_named(running.arguments, running.cwd), *running.python_path]
    # What the service writes into the run's own directory is no source.
    directories = dict.fromkeys(place.resolve() for place in (*places, *module_directories) if place.is_dir())
    return [place for place in directories if place != OWN_MODULES and not _below(place, stack.workdir)]


def code_named(words: Sequence[str], folder: Path) -> Iterator[Path]:
    """The directories of the code that a command run in `folder` names: of scripts (`./serve.sh`, `/srv/app/serve.py`);
    `folder` itself for a module in it (`-m shop`, `shop.web:app`)."""
    for word in words:
        script = folder / word
        module = word.partition(":")[0]
        if script.suffix in _SCRIPTS and script.is_file():
            yield script.parent
        elif _MODULE.fullmatch(module):
            path = folder / module.replace(".", os.sep)
            if path.with_name(f"{path.name}.py").is_file() or (path / "__init__.py").is_file():
                yield folder


def _left(stack: Stack, running: RunningPython | None) -> bool:
    """Whether the service runs outside of the directory it was started in, and outside of the repository around it."""
    if running is None:
        return False
    if _below(running.cwd, stack.workdir):
        return not _below(stack.cwd, stack.workdir)
    home = repository_of(stack.cwd)
    return not _below(running.cwd, stack.cwd if home is None else home)


def _below(place: Path, folder: Path) -> bool:
    return place.resolve().is_relative_to(folder.resolve())
