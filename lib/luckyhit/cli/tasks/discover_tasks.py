"""`luckyhit new NAME --start ... | --url ... | --openapi ... | --har ... | --log ...`: a case from evidence."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from luckyhit.case.docs.template import check_name
from luckyhit.cli.tasks.new_tasks import project_for
from luckyhit.discover.case_text import CaseDraft, case_draft
from luckyhit.discover.discovering import SourceFiles, StartRequest, discover
from luckyhit.discover.evidence import Discovery
from luckyhit.discover.planned import planned_requests
from luckyhit.errors import ArgumentError, LuckyHitError
from luckyhit.project import Project
from luckyhit.records import Guard
from luckyhit.scrub.secrets import find_secret, is_literal, is_secret_name
from luckyhit.workflow.checking import as_text, check_case

INTERRUPTED = 130
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_HEADER = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"


@dataclass(frozen=True)
class Sources:
    """What the command line names. `env`, `header_env`: `NAME=value`, `HEADER=VARIABLE`."""

    start: str = ""
    url: str = ""
    openapi: str = ""
    har: str = ""
    log: str = ""
    host: str = ""
    cwd: str = "."
    python: str = ""
    env: Sequence[str] = field(default_factory=tuple)
    header_env: Sequence[str] = field(default_factory=tuple)
    paths: Sequence[str] = field(default_factory=tuple)
    change: str = ""

    @property
    def named(self) -> bool:
        """Whether any source is named."""
        return any((self.start, self.url, self.openapi, self.har, self.log))

    def refuse_wrong(self) -> None:
        """Raises ArgumentError for what doesn't go together."""
        if self.start and self.url:
            raise ArgumentError(
                "--start and --url can't be combined",
                hint="Leave one out: --start starts the service and may write to it; --url only reads a running one.",
            )
        if not self.named:
            options = [
                name
                for name, value in (
                    ("--env", self.env),
                    ("--host", self.host),
                    ("--header-env", self.header_env),
                    ("--path", self.paths),
                )
                if value
            ]
            raise ArgumentError(
                f"{(options or ['--dry-run'])[0]} needs a source of evidence",
                hint="Add --start 'COMMAND', --url URL, --openapi FILE, --har FILE or --log FILE.",
            )
        if self.openapi and not (self.start or self.url) and not Path(self.openapi).expanduser().is_file():
            raise ArgumentError(
                f"no such file: {self.openapi} (--openapi)",
                hint="A path at the service needs --start or --url beside it.",
            )
        of_start = {"--change": self.change, "--env": self.env, "--python": self.python, "--cwd": self.cwd != "."}
        option = next((name for name, given in of_start.items() if given), "")
        if option and not self.start:
            raise ArgumentError(f"{option} needs --start", hint="It says how the service is started.")
        if self.paths and not (self.start or self.url):
            raise ArgumentError("--path needs --start or --url", hint="It says what the service answers.")
        if wrong := next((path for path in self.paths if not re.fullmatch(r"/[!-~]*", path)), None):
            raise ArgumentError(
                f"--path {wrong!r} is no path",
                hint="Begin with a slash, and quote what is not ASCII: /zones/DE4/price?kg=3",
            )
        if self.host and not self.har:
            raise ArgumentError("--host needs --har", hint="It says which host's requests count.")


def new_from(name: str, sources: Sources, *, dry_run: bool) -> int:
    """Find out, write the case, check it. Returns the exit code: 0, or 130 where it was interrupted (the case is
    written all the same, and marked). Raises ArgumentError, TargetError; the case is not written then."""
    check_name(name)
    sources.refuse_wrong()
    start = _start_request(sources)
    change = _change(sources, start)
    files = SourceFiles(
        openapi=sources.openapi,
        har=_file(sources.har, "--har"),
        log=_file(sources.log, "--log"),
        host=sources.host,
        paths=sources.paths,
    )
    headers_env = dict(_pairs(sources.header_env, "--header-env", _HEADER, "X-Api-Key=API_KEY"))
    unset = sorted({variable for variable in headers_env.values() if variable not in os.environ})
    if unset:
        raise ArgumentError(
            f"the environment variable {unset[0]} is not set (--header-env)", hint=f"Set it: export {unset[0]}=..."
        )
    if dry_run:
        for request in planned_requests(files, start, sources.url):
            print(request)
        return 0
    project = project_for(Path.cwd())
    path = project.cases / f"{name}.yml"
    for taken in (path, project.cases / f"{name}.keys.txt"):
        if taken.exists():
            raise ArgumentError(f"{taken} already exists", hint="Choose another name, or remove that file.")
    discovery = discover(
        files, start, sources.url, project=project.root, headers_env=headers_env, environ=os.environ, progress=_progress
    )
    draft = case_draft(name, replace(discovery, change=change))
    _write(project, path, draft)
    _summarise(discovery, draft)
    if discovery.partial:
        print(f"interrupted: {path.name} is partial", file=sys.stderr)
        print(path)
        return INTERRUPTED
    _check(project, path, draft)
    print(path)
    return 0


def _start_request(sources: Sources) -> StartRequest | None:
    if not sources.start:
        return None
    cwd = Path(sources.cwd).expanduser()
    if not cwd.is_dir() and "{workdir}" not in sources.cwd:
        raise ArgumentError(f"no such directory: {sources.cwd} (--cwd)", hint="Name the service's working directory.")
    env = dict(_pairs(sources.env, "--env", _VARIABLE, "CACHE_TTL=60"))
    _refuse_secrets(env, "--env")
    return StartRequest(
        command=sources.start,
        env=env,
        cwd=sources.cwd,
        python=sources.python or None,
    )


def _change(sources: Sources, start: StartRequest | None) -> tuple[str, str] | None:
    """The variable that changes, and its value after that."""
    if not sources.change or start is None:
        return None
    ((name, after),) = _pairs([sources.change], "--change", _VARIABLE, "CACHE_TTL=60")
    _refuse_secrets({name: after}, "--change")
    if start.env.get(name) == after:
        raise ArgumentError(
            f"--change {name}: it is {after!r} before, too (--env)", hint="Give --env the value before."
        )
    return name, after


def _refuse_secrets(values: Mapping[str, str], option: str) -> None:
    for variable, value in values.items():
        if (is_secret_name(variable) and is_literal(value)) or find_secret(value):
            raise ArgumentError(
                f"{option} {variable} has a secret in clear, which a case may not contain",
                hint=f"export {variable}=..., and give {option} '{variable}=${{{variable}}}'",
            )


def _pairs(texts: Sequence[str], option: str, name: str, example: str) -> Iterator[tuple[str, str]]:
    for text in texts:
        left, equals, right = text.partition("=")
        if not equals or not re.fullmatch(name, left):
            raise ArgumentError(f"{option} expects NAME=VALUE (got {text!r})", hint=f"For example: {option} {example}")
        if not right.isprintable():
            raise ArgumentError(f"{option} {left}: a value of one line without control characters is expected")
        yield left, right


def _file(text: str, option: str) -> Path | None:
    if not text:
        return None
    path = Path(text).expanduser()
    if not path.is_file():
        raise ArgumentError(f"no such file: {text} ({option})")
    return path


def _progress(sentence: str) -> None:
    print(f"  {sentence}", file=sys.stderr, flush=True)


def _write(project: Project, path: Path, draft: CaseDraft) -> None:
    try:
        for name, text in draft.files.items():
            (project.cases / name).write_text(text, encoding="utf-8")
        with path.open("x", encoding="utf-8") as file:
            file.write(draft.text)
    except OSError as error:
        raise ArgumentError(f"{error.filename} can't be written: {error.strerror}") from None


def _summarise(discovery: Discovery, draft: CaseDraft) -> None:
    lines = [
        f"{len(discovery.evidence.routes)} routes known, {len(discovery.reads)} reads and {len(discovery.writes)} "
        f"writes answered; {discovery.requests_sent} requests sent",
        f"to write by hand: {draft.todo} texts that say TODO",
    ]
    if draft.guesses:
        lines.append(f"guesses, marked in the file: {', '.join(dict.fromkeys(draft.guesses))}")
    lines += [f"not tried: {route}: {reason}" for route, reason in discovery.skipped[:10]]
    lines += [
        f"not found out: {sentence}" for sentence in dict.fromkeys((*discovery.unknown, *discovery.evidence.notes))
    ]
    for line in lines:
        print(line, file=sys.stderr)


def _check(project: Project, path: Path, draft: CaseDraft) -> None:
    """Prints what `luckyhit check` finds, and what comes next. A problem is told, and the file is kept."""
    try:
        guards: list[Guard] = check_case(project, path)
    except LuckyHitError as error:
        print(f"check: {error}", file=sys.stderr)
        return
    print(as_text(guards), file=sys.stderr)
    if not draft.measures:
        print(
            "This case measures nothing about a cache yet: no read was found but for health and settings. Next: name "
            f"one with --path (and remove {path.name} first), or write route and workload by hand.",
            file=sys.stderr,
        )
    elif all(guard.ok for guard in guards):
        green = "check is green" if draft.probed else "check is green, of a case that does not look for old data"
        print(
            f"{green}; next: look at the guesses, write what says TODO, then `luckyhit run {path.stem}`",
            file=sys.stderr,
        )
