"""Read a record that may be damaged: what can be read, and a problem for each part that can't."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

Path = tuple[int | str, ...]
_Record = TypeVar("_Record", bound=BaseModel)
_LONGEST = 200


@dataclass(frozen=True)
class UnreadPart:
    """One field or entry that was dropped. `path`: where it is in the file (indexes from 0); `value`: its value, cut
    short; `repeated`: it can be read, but an earlier entry has the same `number`."""

    path: Path
    value: str
    repeated: bool = False
    number: int | str | None = None

    def __str__(self) -> str:
        why = "is there twice" if self.repeated else "can't be read"
        return f"{'.'.join(map(str, self.path))} {why} ({self.value})"


def load_record(
    model: type[_Record],
    document: dict[str, Any],
    stands_for: Mapping[tuple[str, ...], Any] = {},
    unique: Mapping[tuple[str, ...], str] = {},
) -> tuple[_Record, list[UnreadPart]]:
    """`document` as `model`, without the invalid parts; every field of the model needs a default.

    `stands_for`: the replacement of an unreadable field, by its path (`*` for any index or name). `unique`: by the path
    of a list, the field in which its entries have to differ. Never raises.
    """
    try:
        pruner = _Pruner(_copied(document), stands_for)
    except RecursionError:  # something without a bottom
        return model(), [UnreadPart((), "nested too deeply")]
    while True:
        try:
            record = model.model_validate(pruner.document, strict=True)
        except ValidationError as error:
            refused = error.errors(include_url=False, include_context=False, include_input=False)
            places = {tuple(part for part in fault["loc"] if part != "[key]") for fault in refused} - {()}
            if places:
                pruner.drop(places)
                continue
            # Only the record as a whole is invalid: it has repeated entries.
            dropped = [pruner.drop_repeated(path, field) for path, field in unique.items()]
            if not any(dropped):
                return model(), [*pruner.problems, UnreadPart((), str(error)[:_LONGEST])]
            continue
        return record, sorted(pruner.problems, key=lambda problem: _order(problem.path))


class _Pruner:
    """Removes the unreadable parts of a document. Paths in problems are those of the original document."""

    def __init__(self, document: dict[str, Any], stands_for: Mapping[tuple[str, ...], Any]) -> None:
        self.document = document
        self.problems: list[UnreadPart] = []
        self._stands_for = stands_for
        self._replaced: set[Path] = set()
        self._at_first: dict[int, list[int]] = {}
        """By id of a list: the original indexes of its entries."""

    def drop_repeated(self, path: tuple[str, ...], field: str) -> bool:
        """Drop the entries of a list whose `field` an earlier one has. Returns whether there were any."""
        entries: Any = self.document
        for name in path:
            entries = entries.get(name, {})
        numbers = [entry[field] for entry in entries]
        repeated = [index for index, number in enumerate(numbers) if number in numbers[:index]]
        for index in reversed(repeated):
            place: Path = (*path, self._place_of(entries).pop(index))
            self.problems.append(UnreadPart(place, _short(entries.pop(index)), repeated=True, number=numbers[index]))
        return bool(repeated)

    def drop(self, places: Iterable[Path]) -> None:
        unreadable = {self._standing(place) for place in places}
        outermost = [place for place in unreadable if not any(place[:size] in unreadable for size in range(len(place)))]
        # From the end, since removing an entry moves up the later ones.
        for place in sorted(outermost, key=_order, reverse=True):
            self._drop(place)

    def _standing(self, place: Path) -> Path:
        """The innermost part of `place` that exists in the document; a part that lacks a field is dropped."""
        holder: Any = self.document
        for depth, part in enumerate(place):
            try:
                holder = holder[part]
            except (KeyError, IndexError, TypeError):
                return place[:depth]
        return place

    def _drop(self, place: Path) -> None:
        holder: Any = self.document
        path: list[int | str] = []
        for part in place[:-1]:
            path.append(self._place_of(holder)[part] if type(part) is int else part)
            holder = holder[part]
        last = place[-1]
        path.append(self._place_of(holder)[last] if type(last) is int else last)
        self._remove(holder, last, tuple(path))

    def _remove(self, holder: Any, part: Any, path: Path) -> None:
        value = holder[part]
        pattern = tuple(name if type(name) is str else "*" for name in path)
        if type(part) is int:
            self._place_of(holder).pop(part)
        if pattern in self._stands_for and path not in self._replaced:
            self._replaced.add(path)
            holder[part] = _copied(self._stands_for[pattern])
        else:
            del holder[part]
        self.problems.append(UnreadPart(path, _short(value)))

    def _place_of(self, entries: list[Any]) -> list[int]:
        return self._at_first.setdefault(id(entries), list(range(len(entries))))


def _order(path: Path) -> list[tuple[bool, int, str]]:
    return [(type(part) is int, part if type(part) is int else 0, str(part)) for part in path]


def _copied(value: Any) -> Any:
    """A deep copy without shared objects."""
    if type(value) is dict:
        return {name: _copied(entry) for name, entry in value.items()}
    return [_copied(entry) for entry in value] if type(value) is list else value


def _short(value: Any) -> str:
    try:
        return repr(value)[:_LONGEST]
    except (ValueError, RecursionError):  # an endless number, or something without a bottom
        return f"a {type(value).__name__}"
