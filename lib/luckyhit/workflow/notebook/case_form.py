"""A form for the main numbers of a case, in JupyterLab. It writes the case file, and keeps its comments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from luckyhit.atomic import write_atomically
from luckyhit.case import Case
from luckyhit.case.edit import with_values, written_values
from luckyhit.case.findings import FieldPath, field_name
from luckyhit.case.load import parse_case
from luckyhit.case.part import field_of
from luckyhit.errors import ArgumentError, CaseError, LuckyHitError
from luckyhit.text.json_values import value_at

SECTIONS: dict[str, tuple[str, ...]] = {
    "workload": ("rate", "timeout", "seed"),
    "plan": ("baseline", "warmup", "block", "blocks", "after_rollback"),
    "freshness": ("rate", "within", "horizon"),
}
"""The fields that are asked for, by section of the case file; and of each goal, its margin and its limit."""
OF_A_GOAL = ("margin", "at_most")
_LABEL_WIDTH, _BOX_WIDTH = "17em", "32em"


@dataclass(frozen=True)
class FormField:
    """One number. `written`: as the case file has it, empty if it has none; `default`: what counts then; `meaning`:
    from the case file's reference."""

    path: FieldPath
    written: str
    default: str
    meaning: str

    @property
    def name(self) -> str:
        return field_name(self.path)


class CaseEditor:
    """The numbers of one case file, as it was read. A file that somebody else has changed meanwhile is not
    overwritten."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reload()

    def reload(self) -> None:
        """Read the file again. Raises CaseError if it is invalid."""
        text = _text(self.path)
        case = parse_case(text, file=str(self.path))
        self._text = text
        self.fields = list(_fields(case, written_values(text)))

    def save(self, values: Mapping[FieldPath, str]) -> list[str]:
        """Write the values that differ from those in the file. Returns what was changed, a line each.

        Raises CaseError if the case would be invalid, and ArgumentError if a value was deleted, or if the file was
        changed meanwhile; nothing is written then.
        """
        known = {field.path: field for field in self.fields}
        changes = {path: value.strip() for path, value in values.items() if value.strip() != known[path].written}
        if _text(self.path) != self._text:
            raise ArgumentError(
                f"{self.path.name} was changed by somebody else meanwhile; nothing was written",
                hint="Run the cell with `form()` again to see the numbers as they are now.",
            )
        if not changes:
            return []
        edited = with_values(self._text, changes, file=str(self.path))
        write_atomically(self.path.resolve(), edited)
        self.reload()
        return [
            f"{known[path].name}: {known[path].written or known[path].default or 'not set'} → {value}"
            for path, value in changes.items()
        ]


def _text(path: Path) -> str:
    """The file byte for byte as text: line ends are kept."""
    return path.read_bytes().decode("utf-8")


def _fields(case: Case, written: Mapping[FieldPath, str]) -> Iterator[FormField]:
    document = case.model_dump(mode="json")
    sized = ("plan",) in written  # `plan: auto` leaves no field to fill in
    for section, names in SECTIONS.items():
        if document.get(section) is None or (section == "plan" and sized):
            continue
        yield from (_field((section, name), document, written) for name in names)
    for goal in case.goals:
        yield from (_field(("goals", goal, name), document, written) for name in OF_A_GOAL)


def _field(path: FieldPath, document: dict[str, Any], written: Mapping[FieldPath, str]) -> FormField:
    value = value_at(document, path)
    info = field_of(Case, path, document)[1]
    return FormField(
        path, written.get(path, ""), "" if value is None else str(value), (info.description or "") if info else ""
    )


def case_form(path: Path, on_saved: Callable[[], None]) -> Any:
    """The form as a widget. `on_saved` is called after the file was written. Raises CaseError for an invalid file."""
    import ipywidgets as widgets

    editor = CaseEditor(path)
    boxes = {
        field.path: widgets.Text(
            value=field.written,
            placeholder=field.default or "not set",
            description=field.name,
            tooltip=field.meaning,
            description_allow_html=False,
            style={"description_width": _LABEL_WIDTH},
            layout={"width": _BOX_WIDTH},
        )
        for field in editor.fields
    }
    button = widgets.Button(
        description="Write to the case file",
        button_style="primary",
        layout={"width": "auto", "align_self": "flex-start"},
    )
    status = widgets.HTML(value=f"Nothing is written to {escape(path.name)} before you press the button.")

    def save(_: object) -> None:
        try:
            lines = editor.save({field: box.value for field, box in boxes.items()})
        except (LuckyHitError, OSError) as error:
            status.value = _refused(error)
            return
        if lines:
            on_saved()
        done = f"Written to {escape(path.name)}. Run the cells below again." if lines else "Nothing to change."
        status.value = "<br>".join([done, *map(escape, lines)])

    button.on_click(save)
    return widgets.VBox([*boxes.values(), button, status])


def _refused(error: LuckyHitError | OSError) -> str:
    """Why nothing was written, each problem on its line."""
    if isinstance(error, CaseError):
        lines = [f"{problem.field}: {problem.actual}; expected {problem.expected}" for problem in error.problems]
        return "<br>".join(map(escape, ["Nothing was written:", *lines]))
    if isinstance(error, LuckyHitError):
        return escape(f"{error.message}. {error.hint}")
    return escape(f"The case file could not be written: {error.strerror or type(error).__name__}.")
