"""What requests carry: attrs classes, read from JSON and from forms, and described to programs by a JSON Schema.

```
@frozen
class RedeemCode:
    code: str = text(at_most=40, pattern=r"[A-Z0-9-]+")
```

A field whose name is a word of Python's has an underscore at its end, which is not in the body: `class_`.

A field is a `text`, a `whole` number, a `flag`, `one_of` some words, or `many` texts. JSON is strict: no unknown
names, no number for a text. A form has texts alone: numbers are parsed, and a box that is not ticked is not there.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs
from attrs import NOTHING, field

from bootstrap.refusal import Refused

__all__ = [
    "MAX_BODY_BYTES",
    "flag",
    "from_form",
    "from_json",
    "is_odd",
    "many",
    "one_of",
    "schema_of",
    "text",
    "whole",
]

MAX_BODY_BYTES: Final = 64 * 1024
_SCHEMA: Final = "schema"
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u2028\u2029\ufffe\uffff\ud800-\udfff]")
MAX_INTEGER: Final = 2**53 - 1
"""The largest that JSON carries everywhere."""

T = TypeVar("T")


def text(*, at_most: int, at_least: int = 0, pattern: str | None = None, default: Any = NOTHING) -> Any:
    """A text of so many characters, which matches `pattern` as a whole; without control characters."""
    schema: dict[str, Any] = {"type": "string", "maxLength": at_most, "minLength": at_least}
    if pattern is not None:
        schema["pattern"] = f"^(?:{pattern})$"
    return field(default=default, metadata={_SCHEMA: schema})


def whole(*, at_least: int, at_most: int = MAX_INTEGER, default: Any = NOTHING) -> Any:
    """An integer in a range."""
    return field(default=default, metadata={_SCHEMA: {"type": "integer", "minimum": at_least, "maximum": at_most}})


def flag(*, default: Any = NOTHING) -> Any:
    """True or false; in a form, a box that is ticked or not."""
    return field(default=default, metadata={_SCHEMA: {"type": "boolean"}})


def one_of(*choices: str, default: Any = NOTHING) -> Any:
    """One of some words."""
    return field(default=default, metadata={_SCHEMA: {"type": "string", "enum": list(choices)}})


def many(*, at_most: int, each_at_most: int, at_least: int = 0, default: Any = NOTHING) -> Any:
    """A tuple of texts."""
    items = {"type": "string", "maxLength": each_at_most}
    schema = {"type": "array", "items": items, "maxItems": at_most, "minItems": at_least}
    return field(default=default, metadata={_SCHEMA: schema})


def is_odd(text: str) -> bool:
    """Whether a text has characters that no text of ours has, and that databases refuse."""
    return _CONTROL.search(text) is not None


def schema_of(kind: type[Any]) -> dict[str, Any]:
    """The JSON Schema of a class of fields."""
    fields = attrs.fields(kind)
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {_name(each): dict(each.metadata[_SCHEMA]) for each in fields},
        "required": [_name(each) for each in fields if each.default is NOTHING],
    }


def from_json(kind: type[T], data: bytes) -> T:
    """The body of an API request; raises `Refused` (`bad_body`)."""
    try:
        body = json.loads(data or b"{}", parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused("the body is not JSON", reason="bad_body") from error
    if not isinstance(body, dict):
        raise Refused("the body is no JSON object", reason="bad_body")
    fields = {_name(each): each for each in attrs.fields(kind)}  # type: ignore[arg-type]
    for name in body:
        if name not in fields:
            raise Refused(f"there is no field {name[:40]!r}: see the API's description", reason="bad_body", field=None)
    return _made(kind, body)


def from_form(kind: type[T], form: Mapping[str, Any], lists: Mapping[str, Sequence[str]] | None = None) -> T:
    """What a page's form carries, other fields left aside; raises `Refused` (`bad_body`) with the field's name."""
    values: dict[str, Any] = {}
    for each in attrs.fields(kind):  # type: ignore[arg-type]
        name, schema = _name(each), each.metadata[_SCHEMA]
        given = form.get(name)
        match schema["type"]:
            case "boolean":
                values[name] = given is not None
            case "array":
                values[name] = list((lists or {}).get(name, ()))
            case "integer" if isinstance(given, str) and given.strip():
                values[name] = _whole_in(name, given)
            case "string" if isinstance(given, str):
                # Browsers send a line's end as two characters.
                values[name] = given if "password" in name else given.replace("\r\n", "\n").strip()
    return _made(kind, values)


def _made(kind: type[T], values: Mapping[str, Any]) -> T:
    checked: dict[str, Any] = {}
    for each in attrs.fields(kind):  # type: ignore[arg-type]
        if _name(each) in values:
            checked[each.name] = _checked(_name(each), each.metadata[_SCHEMA], values[_name(each)])
        elif each.default is NOTHING:
            raise Refused(f"{_said(_name(each))} is missing", reason="bad_body", field=_name(each))
    return kind(**checked)


def _checked(name: str, schema: Mapping[str, Any], value: Any) -> Any:
    match schema["type"]:
        case "string" if isinstance(value, str):
            return _checked_text(name, schema, value)
        case "integer" if isinstance(value, int) and not isinstance(value, bool):
            if not schema["minimum"] <= value <= schema["maximum"]:
                wanted = f"between {schema['minimum']} and {schema['maximum']}"
                raise Refused(f"{_said(name)} must be {wanted}", reason="bad_body", field=name)
            return value
        case "boolean" if isinstance(value, bool):
            return value
        case "array" if isinstance(value, list) and schema["minItems"] <= len(value) <= schema["maxItems"]:
            return tuple(_checked(name, {"minLength": 0, **schema["items"]}, item) for item in value)
    raise Refused(f"{_said(name)} is not what belongs there", reason="bad_body", field=name)


def _checked_text(name: str, schema: Mapping[str, Any], value: str) -> str:
    if "enum" in schema:
        if value not in schema["enum"]:
            raise Refused(f"{_said(name)} is one of {', '.join(schema['enum'])}", reason="bad_body", field=name)
        return value
    if len(value) > schema["maxLength"]:
        raise Refused(f"{_said(name)} has at most {schema['maxLength']} characters", reason="bad_body", field=name)
    if len(value) < schema["minLength"]:
        short = f"needs at least {schema['minLength']} characters" if value else "is missing"
        raise Refused(f"{_said(name)} {short}", reason="bad_body", field=name)
    if _CONTROL.search(value) or ("pattern" in schema and not re.fullmatch(schema["pattern"], value)):
        raise Refused(f"{_said(name)} has characters that do not belong there", reason="bad_body", field=name)
    return value


def _whole_in(name: str, given: str) -> int:
    digits = given.strip().replace(" ", "").replace("\u00a0", "")
    if not re.fullmatch(r"-?[0-9]{1,16}", digits):
        raise Refused(f"{_said(name)} is a whole number", reason="bad_body", field=name)
    return int(digits)


def _said(name: str) -> str:
    return f"“{name.replace('_', ' ')}”"


def _name(of: "attrs.Attribute[Any]") -> str:
    """What a field is called in a body: without the underscore that sets it apart from a word of Python's."""
    return of.name.removesuffix("_")


def _no_constant(word: str) -> Any:
    raise ValueError(word)
