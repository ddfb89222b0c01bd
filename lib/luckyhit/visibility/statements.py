"""The shape of a statement: its verb and its tables. No value gets into it."""

from __future__ import annotations

import re

_NOISE = re.compile(r"--[^\n]*|/\*.*?(?:\*/|\Z)|'(?:[^'\\]|\\.|'')*(?:'|\Z)|\$(\w*)\$.*?(?:\$\1\$|\Z)", re.DOTALL)
"""Comments, and texts in quotes."""
_NAME = r"(?:[A-Za-z_][\w$]*|\"[A-Za-z_][\w$]*\"|`[A-Za-z_][\w$]*`|\[[A-Za-z_][\w$]*\])"
_TABLE = rf"{_NAME}(?: ?\. ?{_NAME}){{0,2}}"
_NAMED = re.compile(
    rf"\b(FROM|JOIN|INTO|(?<!FOR )(?<!DO )(?<!ON )UPDATE(?: OR \w+)?|TABLE(?: IF(?: NOT)? EXISTS)?) (?:ONLY )?"
    rf"({_TABLE}(?:(?: (?:AS )?(?!(?:ON|SET|WHERE|JOIN)\b){_NAME})? ?, ?{_TABLE})*)(?![\w$])( ?\()?",
    re.IGNORECASE,
)
"""What stands before tables, the tables, and whether the last one is a function."""
_WORDS = frozenset({"SELECT", "SET", "LATERAL", "UNNEST", "VALUES", "ONLY", "WHERE", "NOWAIT", "SKIP", "OF"})
"""What is no table where one might stand."""
_FUNCTION = re.compile(r"\b(?:EXTRACT|TRIM|SUBSTRING|OVERLAY) ?\([^()]*\)|\bDISTINCT FROM\b", re.IGNORECASE)
"""Where FROM names no table."""
_BOUND = re.compile(
    rf"(?:\bWITH(?: RECURSIVE)?|,) ?({_NAME}) ?(?:\([^()]*\) ?)?AS (?:NOT |MATERIALIZED )*\(", re.IGNORECASE
)
"""The names that WITH gives to what it selects."""
_VERB = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE|SELECT)\b", re.IGNORECASE)
_FIRST = re.compile(r"[\s(;]*([A-Za-z]{1,20})\b")
MOST_TABLES = 6
_LONGEST = 20_000


def shape_of(statement: object) -> str:
    """Such as `SELECT product, price`; `?` for what is no statement. `statement`: text, bytes, or an object of a driver
    that can show itself as text."""
    text = " ".join(_NOISE.sub(_space, _text(statement)[:_LONGEST]).split())
    match = _FIRST.match(text)
    if match is None:
        return "?"
    verb = match[1].upper()
    bound = {_bare(name) for name in _BOUND.findall(text)} if verb == "WITH" else set()
    if verb == "WITH":
        verbs = [word.upper() for word in _VERB.findall(text)]
        verb = next((word for word in verbs if word != "SELECT"), "SELECT")
    tables: dict[str, None] = {}
    for before, names, called in _NAMED.findall(_FUNCTION.sub(" ", text)):
        for name in (one.strip() for one in names.split(",")):
            table = re.match(_TABLE, name)
            function = called and name == names and before.upper() in ("FROM", "JOIN")
            if table is None or function or table[0].upper() in _WORDS or _bare(table[0]) in bound:
                continue
            tables[_bare(table[0])] = None
    listed = list(tables)
    more = ", …" if len(listed) > MOST_TABLES else ""
    return f"{verb} {', '.join(listed[:MOST_TABLES])}{more}".rstrip()


def _space(noise: re.Match[str]) -> str:
    return " " if noise[0][0] in "-/" else " '' "


def _bare(name: str) -> str:
    return re.sub(r'[\s"`\[\]]', "", name)


def _text(statement: object) -> str:
    if isinstance(statement, str):
        return statement
    if isinstance(statement, bytes):
        return statement.decode("utf-8", "replace")
    if (as_string := getattr(statement, "as_string", None)) is not None:  # psycopg's composed statements
        try:
            return str(as_string(None))
        except Exception:  # an older one wants its connection: the statement is counted without its tables
            return "?"
    return "?"
