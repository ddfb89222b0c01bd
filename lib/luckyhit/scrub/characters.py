"""Control and direction characters made visible, so that a text can't colour, overwrite or reverse its surroundings."""

from __future__ import annotations

import re

ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
SURROGATE = re.compile("[\ud800-\udfff\ufffe\uffff]")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\u200b\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def visible(text: str, *, longest: int | None = None) -> str:
    """The text without colours, its control and direction characters as visible names. `longest`: characters beyond
    that are cut off, and counted."""
    # Cut first: a text may be a megabyte long.
    cut = len(text) - longest if longest is not None and len(text) > longest else 0
    text = text[:longest] if cut else text
    text = ANSI.sub("", text)
    text = _CONTROL.sub(lambda match: _picture(ord(match[0])), text)
    text = _BIDI.sub(lambda match: f"[U+{ord(match[0]):04X}]", text)
    text = SURROGATE.sub("\ufffd", text)
    return f"{text}… ({cut:,} more characters)" if cut else text


def _picture(code: int) -> str:
    """Unicode has a picture for each C0 control: U+2400 and on."""
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"[U+{code:04X}]"
