"""The reference of the case file in Markdown, made from the descriptions of the models.

python -m luckyhit.case.docs.case_reference     writes docs/case-file.md and data/cases/case.schema.json (`make docs`)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from inspect import cleandoc, get_annotations
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from luckyhit.case.checks.cross_field import rules
from luckyhit.case.checks.goal_checks import limit_units
from luckyhit.case.load import LARGEST_BYTES
from luckyhit.case.model import Case
from luckyhit.case.part import Part, all_parts, parts_in
from luckyhit.case.values.path_variables import REQUESTED, STARTED
from luckyhit.case.values.texts import COMMAND_NAMES, CWD_NAMES, READ_NAMES, START_NAMES, WORKLOAD_NAMES, WRITE_NAMES
from luckyhit.designs import DESIGNS
from luckyhit.records import AMOUNTS, METRICS


def json_schema() -> dict[str, Any]:
    """The schema (draft 2020-12) as a dict. Defaults are as one would write them: `5s`, not 5.0."""
    schema = Case.model_json_schema()
    for part in parts_in(Case):
        target = schema if part is Case else schema["$defs"][part.__name__]
        for name, field in part.model_fields.items():
            if not field.is_required():
                target["properties"][name]["default"] = default_of(field)
            # The description of the field, rather than that of the part it holds.
            target["properties"][name]["description"] = field.description
    _tidy(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Lucky Hit case"}


def schema_text() -> str:
    """The schema as it is committed in data/cases/case.schema.json."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def default_of(field: FieldInfo) -> Any:
    """A field's default in JSON's types, as one would write it in a case file."""
    written: Any = Annotated[field.annotation, field]
    adapter: TypeAdapter[Any] = TypeAdapter(written)
    return adapter.dump_python(field.get_default(call_default_factory=True), mode="json", exclude_defaults=True)


def _tidy(schema: Any) -> None:
    """Drop the titles that only repeat a name, and refuse the names that no pattern covers."""
    if isinstance(schema, list):
        for item in schema:
            _tidy(item)
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("title"), str):
        del schema["title"]
    if "patternProperties" in schema:
        schema["additionalProperties"] = False
    for key, value in schema.items():
        # Below "properties" and "$defs", keys are names of fields: one of them is called title.
        for item in value.values() if key in ("properties", "$defs", "patternProperties") else (value,):
            _tidy(item)


_PROJECT = Path(__file__).resolve().parents[4]
REFERENCE_FILE = _PROJECT / "docs" / "case-file.md"
SCHEMA_FILE = _PROJECT / "data" / "cases" / "case.schema.json"

_IN_WORDS = {
    "Text": "text",
    "Line": "one line of text",
    "Name": "short name (`a-z`, `0-9`, `-`)",
    "EnvName": "name of an environment variable",
    "HeaderName": "name of a header",
    "HeaderValue": "value of a header",
    "PlainPath": "path, such as `/health`",
    "WorkloadPath": "path, such as `/products/{key}`",
    "WritePath": "path, such as `/products/{key}`",
    "ReadPath": "path, such as `/products/{key}`",
    "StartText": "text with placeholders",
    "CommandText": "text with placeholders",
    "ChangeText": "text with placeholders",
    "Revision": "Git revision, such as `main`",
    "StatePath": "JSONPath (RFC 9535), such as `$.flags.new`",
    "SettingName": "name of a setting",
    "PurgePath": "path, such as `/products/{key}`",
    "PurgeHeader": "value of a header",
    "Statement": "SQL statement with `:key` and `:version`",
    "VersionPath": "JSONPath (RFC 9535), such as `$.price`",
    "VersionPattern": "regular expression with one group",
    "KeyedTemplate": "key template with `{key}`, such as `product:{key}`",
    "WriteHeader": "value of a header",
    "KeyName": "text of one line",
    "ShownVersion": "path into a JSON answer, such as `$.price`, or `{number}`",
    "Mode": "`once` or `burst`",
    "KeyTemplate": "key template, such as `product:{id}`",
    "LogField": "name of a field, such as `db_calls`",
    "LogPath": "path of a file",
    "JsonPath": "path into a JSON answer, such as `$.price`",
    "BaseUrl": "address, such as `http://localhost:8000`",
    "HttpStatus": "HTTP status",
    "Statuses": "HTTP status, or a list of them",
    "Directory": "one line of text with placeholders",
    "Interpreter": "path, or a name on PATH",
    "Method": "HTTP method",
    "DesignId": " or ".join(f"`{design}`" for design in DESIGNS),
    "Duration": "duration, such as `300ms` or `5s`",
    "Bound": "duration, such as `300ms`, or `0s`",
    "Rate": "rate, such as `150/s`",
    "Share": "percentage, such as `5 %`",
    "Quantity": "`5 %`, `5ms` or `0.2`",
    "Port": "whole number, from 1 up to 65535",
    "Key": "whole number",
    "Json": "mapping (JSON)",
    "Json | str": "mapping (JSON), or text",
    "str | int | float | bool | None": "text, number, `true`, `false` or `null`",
    "Sha256": "64 hexadecimal digits",
    "CookieValue": "value of a cookie",
    "WorkloadHeader": "value of a header",
    "VariantHeader": "value of a header",
    "GoalName": "metric",
    "str": "text",
    "bool": "`true` or `false`",
    "int": "whole number",
    "float": "number",
}

_HEAD = f"""\
# The case file

<!-- Generated by `make docs` from lib/luckyhit/case. Change the descriptions there. -->

A case is one YAML file in `data/cases/` that declares one cache problem before anything is measured. Its name is the
file's; a `case.yml` elsewhere, as beside a service, has its folder's name.
`luckyhit new NAME` writes a starting case. `luckyhit check NAME` lists its problems with line and field: first those of
single fields, all at once; then what doesn't fit together. Editors with the YAML language server complete and check the
file by its first line, `# yaml-language-server: $schema=case.schema.json`.

## Rules

- YAML 1.2 in UTF-8, at most {LARGEST_BYTES // 1000} kB, one document. No anchors, aliases or tags; no duplicate keys;
  no control characters.
- Unknown fields are refused, and missing ones without a default.
- Quantities have a unit: `300ms`, `5s`, `2m`, `1h`; `150/s`, `30/m`; `5 %`. A bare `5` is refused.
- Values of environment variables are texts: `DEBUG: "1"`, not `DEBUG: 1`. `yes`, `no`, `on` and `off` always need
  quotes.
- Files and directories are relative to the project (the folder with `notebooks/` and `data/cases/` around the working
  directory), wherever the case file is; an absolute path stays as it is.
- No secrets. `target.start.pass_env`, `target.headers_env` and `cache.url_env` take *names* of environment variables.
  Anything that looks like a password, token or key is refused, also in comments. A template with a generated number is
  no secret: `Cookie: "uid=m{{number}}"` of a route, `Cookie: "uid=m{{key}}"` of a variant.

## What is filled in

`{{name}}` is filled in; `{{{{` and `}}}}` stand for one brace each; any other brace is refused. In a JSON body, a
text that is nothing but one placeholder becomes the value itself: `"{{version}}"` becomes the number.

| where | what |
| --- | --- |
"""


def reference_markdown() -> str:
    """The whole page, as it is committed in docs/case-file.md."""
    lines = [_HEAD.rstrip("\n")]
    for where, names in (
        ("`target.start.command`, `target.start.env`, `change.before`, `change.after`", START_NAMES),
        ("`target.start.cwd`, at its beginning", CWD_NAMES),
        ("`workload.routes[].path`, `workload.routes[].body`, `workload.routes[].headers`", WORKLOAD_NAMES),
        ("`path`, `body`, `headers` of `freshness.write`, `freshness.absent.create`, `freshness.refused`", WRITE_NAMES),
        ("`command`, `database` of these", COMMAND_NAMES),
        ("`freshness.reads[].path`, `freshness.absent.remove.path`, `freshness.variants[].headers`", READ_NAMES),
        ("`freshness.reads[].version`, `freshness.reads[].regex` (other braces in these stay as they are)", READ_NAMES),
    ):
        lines.append(f"| {where} | {', '.join(f'`{{{name}}}`' for name in names)} |")
    where = "`cache.clear`"
    lines.append(f"| {where} | any name, for one or more characters other than a colon |")
    fields = ", ".join(f"`{field.replace('.*', '[]')}`" for field in (*STARTED, *REQUESTED))
    lines += ["", f"`${{NAME}}`, in capitals, is an environment variable in these fields: {fields}."]
    lines += ["Its value is shown ([secrets](secrets.md)); `${{NAME}}` with doubled braces is the text `${NAME}`."]
    lines += ["", "## Fields", ""]
    lines += _sections(Case, "")
    lines += ["## Units of goals", "", "| metric | margin | at_most |", "| --- | --- | --- |"]
    for metric, kind in METRICS.items():
        margin, limit = (
            " or ".join(str(AMOUNTS[unit]) for unit in units) for units in (kind.units, limit_units(metric))
        )
        lines.append(f"| `{metric}` | {margin} | {limit or 'none'} |")
    by_route = ", ".join(f"`{name}`" for name, kind in METRICS.items() if kind.by_route)
    lines += [
        "",
        "A goal on one route is named `ROUTE.METRIC`, such as `stores.hit_ratio`. The metric can be",
        f"one of {by_route}; for `stale_reads` the route is one of `freshness.reads`.",
    ]
    lines += ["", "## What has to fit together", "", *(f"- {rule}" for rule in rules()), ""]
    return "\n".join(lines)


def _sections(part: type[Part], path: str) -> Iterator[str]:
    """The section of a part, then those of its parts, in the order of the file."""
    kind = part.model_fields.get("kind")
    title = f"`{path}`" if path else "The whole file"
    if kind is not None:
        title += f", kind `{get_args(kind.annotation)[0]}`"
    yield from (f"### {title}", "", cleandoc(part.__doc__ or ""), "")
    yield from ("| field | what it takes | default | meaning |", "| --- | --- | --- | --- |")
    inner: list[tuple[type[Part], str]] = []
    for name, field in part.model_fields.items():
        at = f"{path}.{name}" if path else name
        yield f"| `{at}` | {_takes(part, name, field)} | {_default(field)} | {_cell(field.description or '')} |"
        inner += [(below, f"{at}{_suffix(part, name)}") for below in all_parts(field.annotation)]
    yield ""
    for below, at in inner:
        yield from _sections(below, at)


def _suffix(part: type[Part], name: str) -> str:
    written = _annotation(part, name)
    return "[]" if written.startswith("list[") else ".METRIC" if written.startswith("dict[") else ""


def _annotation(part: type[Part], name: str) -> str:
    """The annotation as written in the model: `_IN_WORDS` describes its type names."""
    annotations = (get_annotations(base) for base in part.__mro__)
    return str(next(own[name] for own in annotations if name in own))


def _takes(part: type[Part], name: str, field: FieldInfo) -> str:
    if all_parts(field.annotation):
        return {"[]": "list, see below", ".METRIC": "mapping by metric, see below"}.get(
            _suffix(part, name), "see below"
        )
    return _in_words(_annotation(part, name), field)


def _in_words(written: str, field: FieldInfo) -> str:
    written = written.removeprefix("Annotated[").split(", Field(")[0]
    if written in _IN_WORDS and "|" in written:
        return _IN_WORDS[written]
    if written.endswith(" | None"):
        return f"{_in_words(written.removesuffix(' | None'), field)}, or `null`"
    if written.startswith("Literal["):
        return " or ".join(f"`{choice}`" for choice in re.findall(r"""["']([^"']+)["']""", written))
    if match := re.fullmatch(r"list\[(.+)\]", written):
        return f"list of: {_in_words(match[1], field)}"
    if match := re.fullmatch(r"dict\[(\w+), (.+)\]", written):
        return f"mapping: {_in_words(match[1], field)} to {_in_words(match[2], field)}"
    return _IN_WORDS[written] + _bounds(field)


def _bounds(field: FieldInfo) -> str:
    words = {"gt": "greater than", "ge": "from", "lt": "less than", "le": "up to"}
    bounds = [
        f"{word} {bound:,}"
        for item in field.metadata
        for name, word in words.items()
        if isinstance(bound := getattr(item, name, None), (int, float)) and abs(bound) < 2**62
    ]
    return f", {' '.join(bounds)}" if bounds else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default: Any = default_of(field)
    if default is None or default in ({}, []):
        return "none"
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write both files."""
    for path, text in ((REFERENCE_FILE, reference_markdown()), (SCHEMA_FILE, schema_text())):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(_PROJECT))


if __name__ == "__main__":
    main()
