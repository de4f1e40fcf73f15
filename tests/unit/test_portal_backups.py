"""Backups that a running node keeps within their time: its job, what its health says, and what people read of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from bootstrap.backups import PRUNE_EVERY_S, back_up
from bootstrap.portal.jobs import JOBS
from bootstrap.portal.office import Office
from bootstrap.portal.rights_jobs import prune_backups
from peernet.core.errors import UserError
from peernet.node.home import Home
from tests.browsing import Browser, new_office
from tests.people_made import add_account, signed_in

NOW = 1_795_000_000
PAGES = ("/policies/privacy", "/retention", "/privacy/deletion", "/desk/retention")


def office_in(folder: Path, **settings: str) -> Office:
    made = new_office(folder / "state", **settings)
    made.now_s = lambda: NOW
    return made


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = office_in(tmp_path, backups=str(tmp_path / "backups"))
    yield made
    made.database.close()


def take(folder: Path, name: str, at_s: int) -> int:
    """A backup; returns when it is past its time."""
    return back_up(Home.at(folder), folder / "backups" / name, at_s).expires_at_s


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "backups").iterdir())


async def health(office: Office) -> dict[str, str]:
    answer = await Browser(office).http.get("/healthz")
    assert answer.status_code == 200
    found: dict[str, str] = answer.json()
    return found


async def test_what_would_be_past_its_time_before_the_next_round_is_deleted(office: Office, tmp_path: Path):
    expires_at_s = take(tmp_path, "old", NOW)
    take(tmp_path, "new", NOW + 3 * PRUNE_EVERY_S)
    office.now_s = lambda: expires_at_s - 3 * PRUNE_EVERY_S
    await prune_backups(office)
    assert left(tmp_path) == ["new", "old"]
    office.now_s = lambda: expires_at_s - PRUNE_EVERY_S
    with structlog.testing.capture_logs() as logged:
        await prune_backups(office)
    assert left(tmp_path) == ["new"]
    assert [(line["event"], line["backups"]) for line in logged] == [("backups past their time are deleted", 1)]
    assert [job.every_s for job in JOBS if job.run is prune_backups] == [PRUNE_EVERY_S]


async def test_what_hinders_it_is_told_until_it_works(office: Office, tmp_path: Path):
    expires_at_s = take(tmp_path, "one", NOW)
    office.now_s = lambda: expires_at_s
    (tmp_path / "backups").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="cannot be read"):
        await prune_backups(office)
    told = await health(office)
    assert told == {"status": "ok", "backups": "not every backup can be read, or deleted when it is past its time"}
    operator = signed_in(office, add_account(office.database, roles=["operator"]))
    assert told["backups"] in (await operator.open("/desk/retention")).text
    (tmp_path / "elsewhere").rename(tmp_path / "backups")
    await prune_backups(office)
    assert left(tmp_path) == []
    assert await health(office) == {"status": "ok"}
    assert told["backups"] not in (await operator.open("/desk/retention")).text


async def test_without_a_folder_nothing_is_deleted(tmp_path: Path):
    office = office_in(tmp_path)
    expires_at_s = take(tmp_path, "one", NOW)
    office.now_s = lambda: expires_at_s
    await prune_backups(office)
    office.database.close()
    assert left(tmp_path) == ["one"]


@pytest.mark.parametrize("by_itself", [True, False])
async def test_people_read_who_deletes_backups(tmp_path: Path, by_itself: bool):
    office = office_in(tmp_path, backups=str(tmp_path / "backups") if by_itself else "")
    operator = signed_in(office, add_account(office.database, roles=["operator"]))
    said = [(await operator.open(path)).text for path in PAGES]
    office.database.close()
    promises = ("backups are never kept", "Backups are never kept", "Copies in backups are gone", "by itself. After")
    for text, promise in zip(said, promises, strict=True):
        assert (promise in text) == by_itself, promise
    instead = (
        "whoever runs it deletes",
        "Whoever runs it deletes",
        "deleted by whoever runs",
        "operator prune</code> every",
    )
    for text, words in zip(said, instead, strict=True):
        assert (words in text) != by_itself, words
