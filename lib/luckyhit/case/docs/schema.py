"""The JSON Schema of a case file, for editors: completion, and a first check while writing.

The loader is stricter (see `luckyhit.case.checks.cross_field`); nothing that it accepts is refused by the schema.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from luckyhit.case.model import Case
from luckyhit.case.reading.salvage import parts_in


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
