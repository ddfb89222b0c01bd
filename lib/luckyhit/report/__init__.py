"""The report: from a run's files to what people read.

    recorded     what a run recorded, as far as it can be read
    aggregates   the few numbers behind each figure        style, figures   the figures themselves
    sentences    what each figure shows, in words          gallery          figures by name
    contents     the rows of the tables                    checklist        the five questions
    tables       the same rows for the notebooks           redact           what must not be published
    page         the HTML report                           index            the list of all runs
    data_files   the digests of what it rests on           freshness_*      the same parts, of what readers saw

Importing this package is cheap; matplotlib, Jinja and the rest come with the first call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from luckyhit.report.gallery import figure_for
    from luckyhit.report.index import write_index
    from luckyhit.report.page import render

__all__ = ["figure_for", "render", "write_index"]
_HOMES = {"figure_for": "gallery", "render": "page", "write_index": "index"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
