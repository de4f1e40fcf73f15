"""Hostile input to the operator's service: bodies of requests, forms, tokens, manifests of backups."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from attrs import asdict, frozen
from hypothesis import given
from hypothesis import strategies as st

from bootstrap.backups import Backup, KeptFile
from bootstrap.money.offline import OfflineProvider
from bootstrap.money.provider import BadEvent
from bootstrap.people.addresses import parse_address
from bootstrap.portal.bodies import flag, from_form, from_json, many, one_of, schema_of, text, whole
from bootstrap.portal.crossing import CrossingGuard
from bootstrap.refusal import Refused
from peernet.core.errors import UserError
from tests.hostile_input import examples, fuzzes, mutated

BACKUP = Backup(1, 2, 3, (KeptFile("state/ledger.sqlite", 4, "ab"),))
MANIFEST = json.dumps({"format": 1, **asdict(BACKUP)}).encode()
GUARD = CrossingGuard(bytes(32), "http://127.0.0.1:8470")
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


Read = TypeVar("Read")


@frozen
class Body:
    name: str = text(at_most=10, pattern="[a-z]+")
    count: int = whole(at_least=0, at_most=5)
    kind: str = one_of("a", "b", default="a")
    ready: bool = flag(default=False)
    tags: tuple[str, ...] = many(at_most=3, each_at_most=4, default=())


def taken(read: Callable[[], Read], refused_as: str = "bad_body") -> Read | None:
    """What was read, or None where it was refused for that reason."""
    try:
        return read()
    except Refused as refusal:
        reason = refusal.reason
    assert reason == refused_as
    return None


@fuzzes(Backup.parse)
@examples(300)
@given(mutated([MANIFEST]) | st.dictionaries(st.text(), JSON_VALUES).map(lambda value: json.dumps(value).encode()))
def test_a_manifest_is_read_or_refused(data: bytes):
    try:
        found = Backup.parse(data.decode("utf-8", "replace"), Path("backup"))
    except UserError:
        return
    assert all(isinstance(kept.path, str) and isinstance(kept.size_bytes, int) for kept in found.files)


@fuzzes(from_json)
@examples(300)
@given(
    mutated([b'{"name": "abc", "count": 3, "kind": "b", "ready": true, "tags": ["x"]}'])
    | st.dictionaries(st.sampled_from(["name", "count", "kind", "ready", "tags", "more"]), JSON_VALUES).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_a_body_is_what_its_schema_says_or_refused(data: bytes):
    body = taken(lambda: from_json(Body, data))
    if body is None:
        return
    schema = schema_of(Body)["properties"]
    assert body.name.isascii()
    assert 0 < len(body.name) <= schema["name"]["maxLength"]
    assert 0 <= body.count <= 5
    assert not isinstance(body.count, bool)
    assert body.kind in schema["kind"]["enum"]
    assert isinstance(body.ready, bool)
    assert len(body.tags) <= 3
    assert all(len(tag) <= 4 for tag in body.tags)


@fuzzes(from_form)
@examples(200)
@given(st.dictionaries(st.sampled_from(["name", "count", "kind", "ready", "more"]), st.text(max_size=20)))
def test_a_form_is_what_its_schema_says_or_refused(form: dict[str, str]):
    body = taken(lambda: from_form(Body, form, {"tags": list(form.values())}))
    if body is None:
        return
    assert body.ready is ("ready" in form)
    assert 0 <= body.count <= 5


@fuzzes(CrossingGuard.check, CrossingGuard.check_origin)
@examples(200)
@given(
    st.dictionaries(st.sampled_from(["origin", "sec-fetch-site"]), st.text()),
    st.none() | st.text(),
    st.none() | st.text(max_size=40),
    st.text(),
)
def test_nobody_guesses_a_token(headers: dict[str, str], cookie: str | None, session: str | None, shown: str):
    with pytest.raises(Refused) as refused:
        GUARD.check_origin(headers)
        GUARD.check(cookie, session, shown)
    assert refused.value.reason == "crossed"


@fuzzes(parse_address)
@examples(300)
@given(st.text(max_size=400) | st.from_regex(r"[a-z.+]{1,70}@[a-zé.-]{1,80}", fullmatch=True))
def test_an_address_is_one_that_mail_can_be_sent_to_or_refused(given_text: str):
    address = taken(lambda: parse_address(given_text), "bad_address")
    if address is None:
        return
    assert len(address.key) <= 254
    assert not set(address.text) & set('\r\n\t <>,;:"\\')


@fuzzes(OfflineProvider.read_event)
@examples(200)
@given(st.binary(max_size=300), st.text(max_size=80))
def test_an_event_that_nobody_signed_is_refused(body: bytes, signature: str):
    provider = OfflineProvider(cast("Any", None), lambda: 0, "http://127.0.0.1", bytes(32))
    with pytest.raises(BadEvent):
        provider.read_event(body, signature)
