"""Text types of a case: environment variables, paths, key templates, headers. Errors say what was expected."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, WithJsonSchema

from luckyhit.case.findings import plain_name
from luckyhit.case.values.path_variables import without_variables
from luckyhit.case.values.placeholders import PlaceholderError, parse_template, placeholder_names


def _shaped(pattern: str, expected: str, *, longest: int = 2000) -> tuple[AfterValidator, WithJsonSchema]:
    """Metadata of a text that matches `pattern` as a whole, for the loader and for the JSON Schema."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if len(text) > longest:
            raise ValueError(f"at most {longest} characters")
        if not compiled.fullmatch(text):
            raise ValueError(expected)
        return text

    return AfterValidator(check), WithJsonSchema(
        {"type": "string", "pattern": f"^(?:{pattern})$", "maxLength": longest}
    )


def _worded(longest: int, *, one_line: bool) -> tuple[AfterValidator, WithJsonSchema]:
    def check(text: str) -> str:
        text = text.strip()
        if not text:
            raise ValueError("a text that is not empty")
        if len(text) > longest:
            raise ValueError(f"at most {longest} characters (got {len(text)})")
        if one_line and "\n" in text:
            raise ValueError("a single line")
        return text

    schema: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": longest}
    return AfterValidator(check), WithJsonSchema(schema | ({"pattern": r"^\s*[^\n]+\s*$"} if one_line else {}))


def _filled_with(*names: str, variables: bool = True) -> AfterValidator:
    """Allow only these placeholders, and with `variables` also `${NAME}`."""

    def check(text: str) -> str:
        try:
            unknown = sorted(set(placeholder_names(without_variables(text) if variables else text)) - set(names))
        except PlaceholderError as error:
            raise ValueError(str(error)) from None
        if unknown:
            raise ValueError(wrong_placeholder(names, unknown[0]))
        return text

    return AfterValidator(check)


def wrong_placeholder(names: tuple[str, ...], unknown: str) -> str:
    """What was expected instead of `{unknown}`: `only the placeholders {a}, {b} or {c}, not {x}`."""
    if not names:
        return f"no placeholders but variables such as ${{HOME}}, not {{{plain_name(unknown)}}}"
    *most, last = [f"{{{name}}}" for name in names]
    known = f"{', '.join(most)} or {last}" if most else last
    return f"no placeholder but {known}, not {{{plain_name(unknown)}}}"


def _a_directory(text: str) -> str:
    if "{workdir}" in text and not re.fullmatch(r"\{workdir\}(/(?!\.\.?(/|$))[^/]+)*/?", text):
        raise ValueError("{workdir} or a directory below it, such as {workdir}/data")
    return text


def _only_key(text: str) -> str:
    """Allow only `{key}` as a placeholder; other braces (of a regex or a filter) are left as they are."""
    unknown = sorted(set(re.findall(r"\{([A-Za-z_]\w*)\}", text)) - {"key"})
    if unknown:
        raise ValueError(wrong_placeholder(READ_NAMES, unknown[0]))
    return text


def _a_version_path(text: str) -> str:
    if not re.fullmatch(SIMPLE_PATH, text):
        from jsonpath_rfc9535 import JSONPathError
        from jsonpath_rfc9535 import compile as compiled

        try:
            compiled(text.replace("{key}", "1"))
        except (JSONPathError, RecursionError):
            raise ValueError("a JSONPath (RFC 9535) such as $.price_cents or $.items[?@.id == {key}].price") from None
    return text


def _a_version_pattern(text: str) -> str:
    try:
        groups = re.compile(text.replace("{key}", "1")).groups
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"a valid regular expression ({error})") from None
    if groups != 1:
        raise ValueError("a regular expression with one group, the version")
    return text


def _a_keyed_template(text: str) -> str:
    text = _a_key_template(text)
    if set(placeholder_names(text)) != {"key"}:
        raise ValueError("a template with {key} and no other placeholder")
    return text


def _a_statement(text: str) -> str:
    names = set(re.findall(r"(?<![:\w]):([A-Za-z_]\w*)", text))
    if names != {"key", "version"}:
        raise ValueError("one SQL statement with the parameters :key and :version, and no others")
    return text


def _a_key_template(text: str) -> str:
    try:
        parse_template(text)
    except PlaceholderError as error:
        raise ValueError(str(error)) from None
    if not text or len(text) > 500:
        raise ValueError("a template of 1 to 500 characters")
    return text


CACHE_NAMES = ("cache_url", "cache_host", "cache_port", "cache_password")
START_NAMES = ("port", *CACHE_NAMES, "workdir", "python")
CWD_NAMES = ("workdir",)
WORKLOAD_NAMES = ("key", "number")
WRITE_NAMES = ("key", "version")
READ_NAMES = ("key",)
COMMAND_NAMES = (*WRITE_NAMES, *START_NAMES)
CHANGE_NAMES = ("base_url", *START_NAMES)
SIMPLE_PATH = r"\$(?:\.[A-Za-z_][A-Za-z0-9_]*|\[\d{1,6}\])+"

_NOT_A_PATH = "a path that begins with /, in ASCII, without spaces and # (%-encode other characters)"
_PATH = _shaped(r"/[!-~]*", _NOT_A_PATH)
_NO_FRAGMENT = _shaped(r"[^#]*", _NOT_A_PATH)[0]

Text = Annotated[str, *_worded(4000, one_line=False)]
Line = Annotated[str, *_worded(300, one_line=True)]
Name = Annotated[str, *_shaped(r"[a-z0-9][a-z0-9-]{0,39}", "a short name of lower-case letters, digits and hyphens")]
EnvName = Annotated[
    str, *_shaped(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable: letters, digits and _", longest=200)
]
PlainPath = Annotated[str, *_PATH, _NO_FRAGMENT]
WorkloadPath = Annotated[str, *_PATH, _NO_FRAGMENT, _filled_with(*WORKLOAD_NAMES)]
WritePath = Annotated[str, *_PATH, _NO_FRAGMENT, _filled_with(*WRITE_NAMES)]
ReadPath = Annotated[str, *_PATH, _NO_FRAGMENT, _filled_with(*READ_NAMES)]
StartText = Annotated[str, _filled_with(*START_NAMES)]
Directory = Annotated[str, *_worded(300, one_line=True), _filled_with(*CWD_NAMES), AfterValidator(_a_directory)]
Interpreter = Annotated[str, *_worded(300, one_line=True), _filled_with()]
StatePath = Annotated[
    str,
    *_shaped(r"\$.+", "a JSONPath that begins with $, such as $.flags['new-keys']", longest=500),
    AfterValidator(_a_version_path),
]
ChangeText = Annotated[str, _filled_with(*CHANGE_NAMES, variables=False)]
Revision = Annotated[
    str, *_shaped(r"(?!-)[!-~]+", "a Git revision: a branch, a tag or a hash, such as main or v1.4.2", longest=200)
]
SettingName = Annotated[str, *_shaped(r"[a-z][a-z0-9-]*", "the name of a setting, such as maxmemory-policy")]
PurgePath = Annotated[str, *_PATH, _NO_FRAGMENT, _filled_with(*READ_NAMES)]
PurgeHeader = Annotated[
    str, *_shaped(r"[\t -~]*", "a header's value: one line of ASCII"), _filled_with(*READ_NAMES, variables=False)
]
KeyName = Annotated[str, *_shaped(r"[^\x00-\x1f\x7f]+", "a key: a text of one line", longest=500)]
KeyTemplate = Annotated[str, AfterValidator(_a_key_template), WithJsonSchema({"type": "string", "minLength": 1})]
LogField = Annotated[str, *_shaped(r"[^\s.]+(?:\.[^\s.]+)*", "the name of a field, such as db_calls or http.cache")]
LogPath = Annotated[
    str,
    *_shaped(r"\S[^\n]*", "the path of a file, such as logs/app.log or {workdir}/service.log"),
    _filled_with("workdir"),
]
JsonPath = Annotated[
    str,
    *_shaped(
        SIMPLE_PATH,
        "a path in the JSON response such as $.price_cents or $.items[0].id",
    ),
]
ShownVersion = Annotated[
    str,
    *_shaped(rf"{SIMPLE_PATH}|\{{number\}}", "a path in the JSON response such as $.price_cents, or {number}"),
]
VersionPath = Annotated[
    str,
    *_shaped(r"\$.+", "a JSONPath that begins with $, such as $.price_cents", longest=500),
    AfterValidator(_only_key),
    AfterValidator(_a_version_path),
]
VersionPattern = Annotated[str, *_shaped(r"(?s:.+)", "a regular expression", longest=500), AfterValidator(_only_key),
                           AfterValidator(_a_version_pattern)]  # fmt: skip
CommandText = Annotated[str, _filled_with(*COMMAND_NAMES, variables=False)]
Statement = Annotated[str, *_worded(4000, one_line=False), AfterValidator(_a_statement)]
KeyedTemplate = Annotated[
    str, AfterValidator(_a_keyed_template), WithJsonSchema({"type": "string", "minLength": 1, "pattern": r"\{key\}"})
]
BaseUrl = Annotated[
    str,
    *_shaped(
        r"https?://[A-Za-z0-9.\[\]:_-]+(?:/[A-Za-z0-9._~%/-]*)?",
        "a URL such as http://localhost:8000, without credentials",
    ),
]
HeaderName = Annotated[
    str, *_shaped(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", "the name of a header, such as Accept-Language", longest=200)
]
HeaderValue = Annotated[str, *_shaped(r"[\t -~]*", "a header's value: one line of ASCII")]
WorkloadHeader = Annotated[
    str, *_shaped(r"[\t -~]*", "a header's value: one line of ASCII"), _filled_with(*WORKLOAD_NAMES, variables=False)
]
WriteHeader = Annotated[
    str, *_shaped(r"[\t -~]*", "a header's value: one line of ASCII"), _filled_with(*WRITE_NAMES, variables=False)
]
VariantHeader = Annotated[
    str, *_shaped(r"[\t -~]*", "a header's value: one line of ASCII"), _filled_with(*READ_NAMES, variables=False)
]
CookieValue = Annotated[
    str, *_shaped(r"[!#-+\--:<-\[\]-~]*", "a cookie value: ASCII without spaces, quotes, commas and semicolons")
]
Sha256 = Annotated[str, *_shaped(r"[0-9a-f]{64}", "64 hexadecimal digits (0-9, a-f)")]
