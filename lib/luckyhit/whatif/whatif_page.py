"""The answer as files: a page to read (`whatif.html`) and a record to work with (`whatif.json`)."""

from __future__ import annotations

import json
from datetime import datetime
from math import inf, isfinite
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, FileSystemLoader
from markupsafe import Markup

from luckyhit.atomic import write_atomically
from luckyhit.report import plot_style as style
from luckyhit.report.html_files import environment, write_page
from luckyhit.scrub.redactor import Redactor
from luckyhit.text.numbers import number, percent
from luckyhit.whatif.answer_words import (
    RULE_HEADINGS,
    TABLE_HEADINGS,
    fit_text,
    heading,
    knee_texts,
    nearest_row,
    rule_rows,
    rule_text,
    table_rows,
    today_column,
)
from luckyhit.whatif.answering import WhatIf
from luckyhit.whatif.settings_now import size_text, ttl_text
from luckyhit.whatif.surfaces import LOW, VALUE, Surface
from luckyhit.whatif.whatif_figures import FIGURES

SCHEMA = 1
TEMPLATES = Path(__file__).parent / "templates"
Json = dict[str, Any]


def write_answer(
    folder: Path, name: str, answer: WhatIf, redactor: Redactor, *, at: datetime, case: str = "", proof: str = ""
) -> tuple[Path, Path]:
    """Write `NAME.html` and `NAME.json`, whole or not at all; returns both paths. `at`: now; `case`: of the recorded
    requests, empty for a log; `proof`: the command that tries the chosen point. Raises ReportNotWritten."""
    page, record = folder / f"{name}.html", folder / f"{name}.json"
    folder.mkdir(parents=True, exist_ok=True)
    made = f"{at:%Y-%m-%d %H:%M}"
    write_page(page, rendered(answer, redactor, made=made, case=case, proof=proof, record=record.name))
    write_atomically(record, json.dumps(redactor.document(document(answer)), indent=1) + "\n")
    return page, record


def rendered(answer: WhatIf, redactor: Redactor, *, made: str, case: str, proof: str, record: str) -> str:
    templates = environment(redactor)
    reports = templates.loader
    assert reports is not None
    templates.loader = ChoiceLoader([FileSystemLoader(TEMPLATES), reports])
    trace = answer.recording.trace
    figures = []
    for row in FIGURES.values():
        figure = row.draw(answer)
        if figure is not None:
            figures.append(
                {
                    "name": row.id,
                    "title": row.title,
                    "sentence": row.say(answer),
                    "picture": Markup(style.to_data_uri(style.laid_out(figure))),
                }
            )
    return templates.get_template("whatif.html.j2").render(
        source=answer.recording.source,
        case=case,
        made=made,
        tone="INCONCLUSIVE" if answer.fit is None else "EQUIVALENT" if answer.fit.is_fit else "INVALID",
        state="unchecked" if answer.fit is None else "fit" if answer.fit.is_fit else "unfit",
        heading=heading(answer),
        fit=fit_text(answer),
        knees=knee_texts(answer),
        asked=f"{trace.reads:,} reads of {trace.read_entries:,} entries, {trace.writes:,} writes that outdate them, "
        f"{number(trace.seconds)} s",
        rule=rule_text(answer),
        size=size_text(answer.grid.sizes[nearest_row(answer)], by_bytes=answer.by_bytes),
        headings=TABLE_HEADINGS,
        rows=table_rows(answer),
        rule_headings=RULE_HEADINGS,
        rule_rows=rule_rows(answer),
        ttl=ttl_text(answer.grid.ttls_s[today_column(answer)]),
        figures=figures,
        hot=[
            (title, [(key.name, f"{key.reads:,}", f"{count:,}", percent(share)) for key, count, share in keys])
            for title, keys in (
                ("Misses", [(key, key.misses, key.miss_share) for key in answer.hot_misses]),
                ("Stale reads", [(key, key.stale, key.stale_share) for key in answer.hot_stale]),
            )
            if keys
        ],
        notes=[*answer.recording.notes, *answer.limits],
        proof=proof,
        record=record,
        one_in=answer.one_in,
    )


def document(answer: WhatIf) -> Json:
    """The record. Numbers that are not known are null; a time to live of none is null as well."""
    trace, fact, fit = answer.recording.trace, answer.fact, answer.fit
    return {
        "schema": SCHEMA,
        "source": answer.recording.source,
        "reads": trace.reads,
        "entries": trace.read_entries,
        "writes": trace.writes,
        "seconds": _known(trace.seconds),
        "unit": "bytes" if trace.by_bytes else "entries",
        "one_in": answer.one_in,
        "rule": answer.rule.id,
        "delay_s": answer.rule.delay_ns / 1e9,
        "now": None
        if answer.now is None
        else {"ttl_s": _known(answer.now.ttl_s), "ttl_from": answer.now.ttl_from, "size": answer.now.size},
        "measured": {"hit_ratio": _share(fact.hit_ratio), "stale": _share(fact.stale)},
        "fit": None
        if fit is None
        else {
            "is_fit": fit.is_fit,
            "is_decided": fit.is_decided,
            "hit_ratio": fit.hit_ratio,
            "stale": fit.stale,
            "why": [{"id": kind, "reads": count} for kind, count in fit.why],
        },
        "sizes": list(answer.grid.sizes),
        "ttls_s": [_known(ttl_s) for ttl_s in answer.grid.ttls_s],
        "rules": {name: _surface(one) for name, one in answer.surfaces.items()},
        "policies": {name: _surface(one) for name, one in answer.others.items()},
        "knee_size": None if answer.knee_size is None else answer.knee_size.at,
        "knee_ttl_s": None if answer.knee_ttl is None else answer.knee_ttl.at,
        "pareto": [
            {"size": one.size, "ttl_s": _known(one.ttl_s), "stale": one.stale, "cost": _known(one.cost)}
            for one in answer.pareto
        ],
        "hot_misses": [{"entry": key.name, "misses": key.misses, "share": key.miss_share} for key in answer.hot_misses],
        "hot_stale": [{"entry": key.name, "stale": key.stale, "share": key.stale_share} for key in answer.hot_stale],
        "notes": list(answer.recording.notes),
        "limits": list(answer.limits),
    }


def _surface(one: Surface) -> Json:
    """Each metric as {low, value, high}, each a list by size of lists by time to live."""
    bands = {"hit_ratio": one.hit_ratio, "stale": one.stale, "db_calls": one.calls}
    bands |= {"latency_mean_ms": one.mean_ms, "latency_p95_ms": one.p95_ms}
    made: Json = {
        name: {
            bound: [[_known(float(value)) for value in row] for row in band[place]]
            for place, bound in ((LOW, "low"), (VALUE, "value"), (2, "high"))
        }
        for name, band in bands.items()
    }
    made["memory"] = [[_known(float(value)) for value in row] for row in one.memory]
    return made


def _share(share: tuple[float, float, float] | None) -> Json | None:
    if share is None:
        return None
    return dict(zip(("low", "value", "high"), map(_known, share), strict=True))


def _known(value: float) -> float | None:
    return float(f"{value:.9g}") if isfinite(value) and value < inf else None
