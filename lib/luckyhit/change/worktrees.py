"""A change by another Git revision: two worktrees of the service's repository, one for each arm.

A worktree has an entry in its repository, so it is journalled, and removed with that entry. Both arms find their source
under the same name (a link in the working directory), so that no path differs between them. With an editable
installation both arms would import the repository's own code: what Python finds there comes first from the worktree
(PYTHONPATH).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from luckyhit.case import Case
from luckyhit.case.changes.revision import WORKTREE, RevisionChange
from luckyhit.case.values.path_variables import without_variables
from luckyhit.case.values.placeholders import placeholder_names
from luckyhit.case.values.texts import START_NAMES
from luckyhit.change.fingerprints.interpreter import interpreter_of, run_quietly
from luckyhit.change.fingerprints.sources import outside_hooks
from luckyhit.change.journal import Journal, Step
from luckyhit.errors import GuardError, TargetError
from luckyhit.records import Arm
from luckyhit.system import Settings
from luckyhit.system.process import MARKER
from luckyhit.system.start_settings import filled, own_python, source_directory

_WITHIN_S = 120.0
_LOOKED_UP = """
import json, sys
paths = list(sys.path)
for finder in sys.meta_path:
    mapping = getattr(sys.modules.get(getattr(finder, "__module__", "")), "MAPPING", None)
    if isinstance(mapping, dict):
        paths += [str(path).rsplit("/", 1)[0] for path in mapping.values()]
print(json.dumps([path for path in paths if path]))
"""


def revisions_of(case: Case, project: Path) -> dict[Arm, str]:
    """The full hash of each arm's revision. Raises GuardError where there is no such repository or revision, or both
    are the same."""
    change = _change(case)
    root, inside = repository_of_case(case, project)
    revisions: dict[Arm, str] = {}
    for arm, name in (("before", change.before), ("after", change.after)):
        try:
            revisions[arm] = git(root, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").strip()  # type: ignore[index]
        except TargetError:
            raise GuardError(
                f"the repository {root.name} has no revision {name!r} (change.{arm})",
                hint="Fetch it first, or look at `git branch -a` and `git tag`.",
            ) from None
        try:
            git(root, "cat-file", "-e", f"{revisions[arm]}:{inside.as_posix() if inside.parts else ''}")  # type: ignore[index]
        except TargetError:
            raise GuardError(
                f"revision {name!r} (change.{arm}) has no directory {inside}, which target.start.cwd names",
                hint="Name a directory that both revisions have.",
            ) from None
    if revisions["before"] == revisions["after"]:
        raise GuardError(
            f"{change.before!r} and {change.after!r} are the same revision ({revisions['before'][:12]})",
            hint="Name two revisions that differ.",
        )
    return revisions


def difference_of(case: Case, project: Path, revisions: Mapping[Arm, str]) -> str:
    """The change as Git shows it: a summary by file, then the whole difference."""
    root, _ = repository_of_case(case, project)
    return git(root, "diff", "--stat=100", "--patch", "--no-color", "--no-ext-diff", revisions["before"],
               revisions["after"])  # fmt: skip


@contextmanager
def worktrees(
    case: Case, project: Path, folder: Path, journal: Journal, revisions: Mapping[Arm, str], environ: Mapping[str, str]
) -> Iterator[dict[Arm, Settings]]:
    """A worktree of each revision under `folder`, until the block ends: the settings of each arm.

    Raises GuardError where the intent can't be journalled (nothing was made then), TargetError where Git refuses.
    """
    root, inside = repository_of_case(case, project)
    places: dict[Arm, Path] = {arm: (folder / arm).resolve() for arm in revisions}
    made: list[tuple[int, Path]] = []
    # Where this process dies alone, Git would go on: `luckyhit revert` finds it by this.
    env_with_marker = {**os.environ, MARKER: str(folder.parent / "work" / "git")}
    try:
        for arm, place in places.items():
            detail = {"revision": revisions[arm], "path": str(place), "repository": str(root)}
            step = journal.intend(WORKTREE, detail, {"kind": WORKTREE, "path": str(place), "repository": str(root)})
            made.append((step, place))
            folder.mkdir(parents=True, exist_ok=True)
            git(root, "worktree", "add", "--detach", "--force", str(place), revisions[arm], env=env_with_marker)
            journal.confirm(step)
        first = _module_directories(case, project, root, inside, environ)
        yield {
            arm: Settings(source=str(place), cwd=str(inside), python_path=tuple(first)) for arm, place in places.items()
        }
    finally:
        for step, place in reversed(made):
            remove(root, place)
            journal.undo(step, {"outcome": "gone", "how": "the worktree was removed"})


def copied(case: Case, project: Path, folder: Path, arm: Arm, environ: Mapping[str, str]) -> Settings:
    """The settings of one arm out of a clone in `folder`, for a look that must leave nothing: it shares the objects of
    the repository, and nothing is written there. Raises as `worktrees`."""
    root, inside = repository_of_case(case, project)
    git(root, "clone", "--quiet", "--shared", "--no-checkout", str(root), str(folder))
    git(folder, "checkout", "--quiet", "--detach", revisions_of(case, project)[arm])
    first = _module_directories(case, project, root, inside, environ)
    return Settings(source=str(folder), cwd=str(inside), python_path=tuple(first))


def remove(root: Path, place: Path) -> None:
    """Remove a worktree and its entry. Safe to repeat. Raises TargetError where something of it is left."""
    try:
        git(root, "worktree", "remove", "--force", "--force", str(place))
    except TargetError:  # incomplete, or removed already
        shutil.rmtree(place, ignore_errors=True)
        git(root, "worktree", "prune")
    if place.exists() or str(place) in git(root, "worktree", "list", "--porcelain").splitlines():
        raise TargetError(
            f"the worktree {place} could not be removed",
            hint=f"Remove it by hand: git -C {root} worktree remove --force {place}",
        )


def undo(step: Step) -> str:
    """Remove the worktree that a journalled step made; says what was done. Raises TargetError."""
    root, place = Path(str(step.inverse["repository"])), Path(str(step.inverse["path"]))
    if not root.is_dir():
        return f"the repository {root} is gone, and its worktree with it"
    remove(root, place)
    return "the worktree was removed"


def git(where: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """The output of a git command, run with `env`. Raises TargetError with its error message."""
    command = ["git", "-C", str(where), "-c", "core.hooksPath=/dev/null", *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=_WITHIN_S, check=False, stdin=subprocess.DEVNULL, text=True,
            errors="replace", env=outside_hooks(os.environ if env is None else env),
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TargetError(f"git could not be run: {error}", hint="Install Git, and put it on PATH.") from None
    if done.returncode:
        raise TargetError(
            f"git {arguments[0]} failed: {done.stderr.strip()[-500:] or f'exit status {done.returncode}'}",
            hint="Try it by hand in the service's repository.",
        )
    return done.stdout


def _change(case: Case) -> RevisionChange:
    assert isinstance(case.change, RevisionChange)
    return case.change


def repository_of_case(case: Case, project: Path) -> tuple[Path, Path]:
    """(root of the service's repository, the service's working directory below it). Raises GuardError where it lies in
    none."""
    cwd = source_directory(case.target.start, project).resolve()
    try:
        root = Path(git(cwd, "rev-parse", "--show-toplevel").rstrip("\n")).resolve()
    except TargetError as error:
        raise GuardError(
            f"target.start.cwd ({cwd}) is in no Git repository: {error.message}",
            hint="A change of kind revision needs the service's repository.",
        ) from None
    return root, cwd.relative_to(root)


def _module_directories(case: Case, project: Path, root: Path, inside: Path, environ: Mapping[str, str]) -> list[str]:
    """Directories below the repository's root, relative to it, in which the service's interpreter looks for modules."""
    start = case.target.start
    if start is None:
        return []
    known = {**dict.fromkeys(START_NAMES, ""), "python": own_python(start, project, environ)}
    program = filled(start.command[0], known, environ)
    python = interpreter_of(program, root / inside, environ)
    if python is None:
        return []
    env = {name: value for name, value in environ.items() if name in ("PATH", "HOME", "PYTHONHOME", "PYTHONPATH")}
    declared = start.env.get("PYTHONPATH")
    if declared is not None and not list(placeholder_names(without_variables(declared))):
        env["PYTHONPATH"] = filled(declared, {}, environ)
    try:
        paths = json.loads(run_quietly([python, "-c", _LOOKED_UP], Path("/"), env))
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
    packages: dict[str, None] = {}
    for path in paths:
        place = Path(path)
        if place.is_absolute() and place.resolve().is_relative_to(root) and place.is_dir():
            relative = place.resolve().relative_to(root)
            if not {"site-packages", "dist-packages"} & set(relative.parts):
                packages[str(relative)] = None
    return list(packages)
