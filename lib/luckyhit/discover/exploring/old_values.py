"""What a field held before the first write, and how a version is written into one that held a text.

A case's probe reads the old value too, so that its place has to give a whole number then as well: a text like the old
one with the number in it (`Town {version}`), or a regular expression that takes the old text for version 0.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from luckyhit.case.values.placeholders import escape
from luckyhit.discover.asking import NotJson
from luckyhit.discover.evidence import FORM, ReadRoute, Shows, WriteRoute
from luckyhit.discover.exploring.attempts import Accepted, Attempt, Attempts, path_for
from luckyhit.discover.exploring.bodies import QUERY, placed
from luckyhit.discover.exploring.numbered_bodies import has_key, with_key
from luckyhit.discover.exploring.reads import Exploring
from luckyhit.load.bodies.versions import VersionMissing, text_in

WHOLE, ALIKE, EMPTY, OTHER = range(4)
"""What a place held before: whole numbers, texts that differ in a number alone, nothing, other texts. The first is the
best for a probe."""
_MOST_VALUES = 60
_SHOWN_WITHIN_S = 1.2
_PAUSE_S = 0.02
_FEWEST_SAME = 3
"""Values that are the same text, before the other keys are taken to hold it too."""
_LONGEST_NAMED = 40
_DIGITS = re.compile(r"0?\d{1,18}")
_WITH_NUMBER = re.compile(r"(\D*[^\W\d]\D*)(0|[1-9]\d{0,5})((?:\D.*)?)", re.DOTALL)
"""A text with a number that is below every version of a probe."""
_SPECIAL = re.compile(r"[\\.^$*+?{}\[\]|()]")


@dataclass(frozen=True)
class VersionText:
    """What a written text has around its version."""

    before: str = ""
    after: str = ""

    def text(self, number: int) -> str:
        return f"{self.before}{number}{self.after}"

    def regex(self, old: Sequence[str]) -> str:
        """An expression for what is read, with a group for the version; empty where no old value needs one."""
        core = f"{_literal(self.before)}{'' if self.before else '0?'}(\\d+){_literal(self.after)}"
        others = {text for text in old if not re.fullmatch(core, text)}
        if not others:
            return "" if self == VersionText() else f"^{core}$"
        (other, *more) = others
        named = not more and len(old) >= _FEWEST_SAME and len(other) <= _LONGEST_NAMED and other.isprintable()
        return f"^(?:{core}|{_literal(other) if named else '(?s:.*)'})$"


def rank_of(old: Sequence[str]) -> int:
    """How well a place that held these values is read by a probe; one of which nothing is known is taken as it is."""
    if all(_DIGITS.fullmatch(text) for text in old):
        return WHOLE
    if form_of(old) != VersionText():
        return ALIKE
    return OTHER if any(old) else EMPTY


def form_of(old: Sequence[str]) -> VersionText:
    """That of texts which differ in one number alone; else an empty one."""
    matches = [_WITH_NUMBER.fullmatch(text) for text in old]
    forms = {VersionText(match[1], match[3]) for match in matches if match is not None}
    return forms.pop() if len(forms) == 1 and None not in matches else VersionText()


class OldValues:
    """Of the reads that show a write, what they showed before it."""

    def __init__(self, state: Exploring, attempts: Attempts) -> None:
        self._state, self._attempts = state, attempts
        self._pause = threading.Event()

    def rank(self, attempt: Attempt, write: WriteRoute) -> int:
        """How well the nearest read's place is read by a probe: WHOLE, ..., OTHER."""
        return rank_of(self._texts(attempt, write.shows[0]))

    def readable(self, attempt: Attempt, accepted: Accepted, write: WriteRoute) -> WriteRoute:
        """The write with a body, and its reads with expressions, by which old values are whole numbers too."""
        old = [self._texts(attempt, shows) for shows in write.shows]
        form = form_of(old[0])
        in_body = accepted.place[0] != QUERY and attempt.media_type != FORM
        if form != VersionText() and in_body and self._takes(attempt, accepted, write.shows[0], form):
            text = f"{escape(form.before)}{{version}}{escape(form.after)}"
            write = replace(write, body=placed(write.body, accepted.place, text))
        else:
            form = VersionText()
        shown = [
            replace(shows, regex=form.regex(own) if shows.json_path else self._page_regex(attempt, shows))
            for shows, own in zip(write.shows, old, strict=True)
        ]
        return replace(write, shows=tuple(shown))

    def _takes(self, attempt: Attempt, accepted: Accepted, shows: Shows, form: VersionText) -> bool:
        """Whether a text of this form is accepted, and shown as it is."""
        if not attempt.name and not has_key(accepted.body, attempt.key):
            return False
        text = form.text(next(attempt.numbers))
        path = path_for(self._read(shows), attempt.key)
        sent = placed(with_key(accepted.body, attempt.key), accepted.place, text)
        if not self._attempts.send(attempt, sent).accepted:
            return False
        until = time.monotonic() + _SHOWN_WITHIN_S
        while time.monotonic() < until:
            self._state.empty_cache()
            if text in _text(shows.json_path.replace("{key}", attempt.key), self._state.asker.get(path).document):
                return True
            self._pause.wait(_PAUSE_S)
        return False

    def _page_regex(self, attempt: Attempt, shows: Shows) -> str:
        """The expression for a page that is no JSON, such that the page of a key that was not written fits it too."""
        read = self._read(shows)
        key = next((key for key in read.ids if key != attempt.key), "")
        page = self._state.asker.get(path_for(read, key)).text if key else ""
        optional = shows.regex.partition(r"(\d+)")[0] + r"(?:(\d+)|)"
        fits = not page or re.search(shows.regex, page) or not re.search(optional, page)
        return shows.regex if fits else optional

    def _texts(self, attempt: Attempt, shows: Shows) -> tuple[str, ...]:
        """What a read showed at a place for keys that were not written; empty where that is not known."""
        documents = self._documents(attempt, self._read(shows)) if shows.json_path else ()
        return tuple(
            text for key, document in documents for text in _text(shows.json_path.replace("{key}", key), document)
        )

    def _documents(self, attempt: Attempt, read: ReadRoute) -> Iterator[tuple[str, object]]:
        """The JSON answers from before the writes, by key; one is asked for where there is none."""
        documents = self._state.documents
        keys = [key for key in read.ids or attempt.ids if key != attempt.key]
        known = [key for key in keys if path_for(read, key) in documents][:_MOST_VALUES]
        for key in known:
            yield key, documents[path_for(read, key)]
        if keys and not known:
            yield keys[-1], self._state.asker.get(path_for(read, keys[-1])).document

    def _read(self, shows: Shows) -> ReadRoute:
        return next(read for read in self._state.reads if read.path == shows.read)


def _text(path: str, document: object) -> list[str]:
    try:
        return [] if document is NotJson else [text_in(path, document)]
    except VersionMissing:
        return []


def _literal(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)
