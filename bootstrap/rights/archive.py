"""Everything that is held about a person: as data with their schema, and as one ZIP to take along.

The ZIP has four files whose names are fixed, so that no text of anybody's becomes a path, and no table for a
spreadsheet, so that none becomes a formula. It is built in memory, bounded, and kept nowhere.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any, Final

from bootstrap.database import Transaction
from bootstrap.refusal import Refused
from bootstrap.rights.domains import DOMAINS
from bootstrap.rights.shapes import NUMBER, TEXT, record

__all__ = ["FORMAT", "MAX_EXPORT_BYTES", "NAMES", "archive", "collected", "export_schema"]

FORMAT: Final = "peernet-export-1"
MAX_EXPORT_BYTES: Final = 64 * 1024 * 1024
"""More than a person's data of ten years is, by far."""
NAMES: Final = ("README.txt", "data.json", "schema.json", "index.html")
_FIXED_TIME: Final = (1980, 1, 1, 0, 0, 0)
_README: Final = """This is what the operator of a peernet bootstrap node held about you when you asked.

index.html   the same for reading: open it in a browser
data.json    the same for programs
schema.json  what data.json looks like (JSON Schema, draft 2020-12)

Times ending in _at_s are seconds since 1970-01-01 00:00 UTC. Amounts of credits are in millionths of a credit.
Prompts and answers are not here: no bootstrap node ever receives one.
"""


def collected(transaction: Transaction, account_id: str, now_s: int) -> dict[str, Any]:
    """All data about the account, by domain; fits `export_schema`."""
    return {
        "format": FORMAT,
        "made_at_s": now_s,
        "data": {domain.name: domain.export(transaction, account_id) for domain in DOMAINS},
    }


def export_schema() -> dict[str, Any]:
    """The JSON Schema of an export."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": FORMAT,
        **record(
            format={**TEXT, "const": FORMAT},
            made_at_s=NUMBER,
            data=record(**{domain.name: domain.schema for domain in DOMAINS}),
        ),
    }


def archive(everything: Mapping[str, Any], page: str) -> bytes:
    """The ZIP of what `collected` found, with the readable page; raises `Refused` where it is too large."""
    files = dict(
        zip(NAMES, (_README, _json(everything), _json(export_schema()), page), strict=True),
    )
    if sum(len(content) for content in files.values()) > MAX_EXPORT_BYTES:
        raise Refused("this is too much for one file: write to us, and we send it", reason="too_large_export")
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            about = zipfile.ZipInfo(name, _FIXED_TIME)
            about.compress_type = zipfile.ZIP_DEFLATED
            about.external_attr = 0o600 << 16
            packed.writestr(about, content)
    return made.getvalue()


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
