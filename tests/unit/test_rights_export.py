"""Access and portability: everything about one person and nothing about others, in a form that says what it is."""

import io
import json
import re
import zipfile

import jsonschema_rs
import pytest

from bootstrap.database import Database
from bootstrap.people.access_log import note_access
from bootstrap.refusal import Refused
from bootstrap.rights import archive as archiving
from bootstrap.rights.archive import NAMES, archive, collected, export_schema
from bootstrap.rights.domains import DOMAINS
from tests.accounts import make_account
from tests.unit.test_rights_deletion import NOW, person_with_traces

_ACCOUNT_COLUMN = re.compile(r"(.+_)?account_id")


def test_it_has_all_and_fits_its_schema(database: Database):
    ann = person_with_traces(database)
    person_with_traces(database, "bob")
    everything = database.read(lambda transaction: collected(transaction, ann, NOW))
    jsonschema_rs.Draft202012Validator(export_schema()).validate(everything)
    told = json.dumps(everything)
    for word in ("ann@mail.example", "Ann of Example", "lake", "My secret reason.", "My secret message.", "203.0.113"):
        assert word in told
    assert "bob" not in told.lower()
    assert "hash of ann" not in told
    assert len(everything["data"]["rights"]["messages"]) == 2


def test_its_schema_allows_nothing_else(sqlite_database: Database):
    ann = make_account(sqlite_database)
    everything = sqlite_database.read(lambda transaction: collected(transaction, ann, NOW))
    everything["data"]["people"]["account"]["shoe_size"] = 42
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.Draft202012Validator(export_schema()).validate(everything)


def test_who_looked_is_told_without_who_it_was(sqlite_database: Database):
    ann, olga = make_account(sqlite_database), make_account(sqlite_database, "olga", "operator")
    sqlite_database.write(lambda transaction: note_access(transaction, "looked", now_s=NOW, by=olga, about=ann))
    everything = sqlite_database.read(lambda transaction: collected(transaction, ann, NOW))
    assert [line["by"] for line in everything["data"]["people"]["access_log"]] == ["an operator"]
    assert "olga" not in json.dumps(everything)


def test_the_file_has_fixed_names_whatever_people_are_called(sqlite_database: Database):
    ann = make_account(sqlite_database, profile="../../etc/passwd")
    sqlite_database.write(
        lambda transaction: transaction.execute("UPDATE account SET display_name = '=cmd|''/c calc''!A0'")
    )
    everything = sqlite_database.read(lambda transaction: collected(transaction, ann, NOW))
    packed = zipfile.ZipFile(io.BytesIO(archive(everything, "<p>page</p>")))
    assert tuple(packed.namelist()) == NAMES
    assert not [name for name in packed.namelist() if "/" in name or name.endswith(".csv")]
    assert json.loads(packed.read("data.json")) == everything
    assert json.loads(packed.read("schema.json")) == export_schema()
    assert packed.testzip() is None


def test_a_file_that_is_too_large_is_not_made(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(archiving, "MAX_EXPORT_BYTES", 1000)
    with pytest.raises(Refused, match="write to us"):
        archive({}, "x" * 1001)


def test_every_table_about_people_is_in_a_domain(sqlite_database: Database):
    about_people = {
        table
        for table, columns in sqlite_database.tables().items()
        if any(_ACCOUNT_COLUMN.fullmatch(column) for column in columns)
    }
    assert "session" in about_people
    known = {table for domain in DOMAINS for table in domain.tables}
    assert about_people - known == set(), "these hang on accounts, and no domain exports or erases them"
    assert known - sqlite_database.tables().keys() == set(), "these tables are no more"
