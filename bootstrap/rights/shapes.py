"""The pieces of the JSON Schema of an export (draft 2020-12)."""

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["FLAG", "NUMBER", "TEXT", "listing", "maybe", "record"]

Schema = Mapping[str, Any]

TEXT: Final[Schema] = {"type": "string"}
NUMBER: Final[Schema] = {"type": "integer"}
FLAG: Final[Schema] = {"type": "boolean"}


def maybe(schema: Schema) -> Schema:
    """The same, or null."""
    return {**schema, "type": [schema["type"], "null"]}


def record(**fields: Schema) -> Schema:
    """An object with exactly these fields."""
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def listing(item: Schema) -> Schema:
    """An array of these."""
    return {"type": "array", "items": item}
