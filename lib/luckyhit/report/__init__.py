"""The report: from a run's files to what people read.

    recorded     what a run recorded, as far as it can be read
    aggregates   the few numbers behind each figure        style, figures   the figures themselves
    sentences    what each figure shows, in words          gallery          figures by name
    course, course_rows, course_figures                    what was done when; pace: how fast it was meant to go
    contents     the case, guards and environment          checklist        the five questions
    baseline, metric_rows                                  their tables
    one_change   the change: values, diff, calls           blocks           what was done before each block
    journal      the run's journal, step by step           open_steps       what is open, and how to undo it
    touched, cleared_keys, compared                        what was touched, what was looked at
    as_it_was    what was not touched, what is back        index            the list of all runs
    tables       the same rows for the notebooks           context, page    the HTML report
    cache_counters                                         what the cache itself counted
    card         what a report says of itself to the index
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
