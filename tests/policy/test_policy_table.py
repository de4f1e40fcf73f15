"""The page of promises is held to the code, the tests and the sabotages."""

import re

from tests.policy.policy_table import ROOT, rows
from tests.policy.sabotages import SABOTAGES


def test_every_promise_has_one_row_in_order() -> None:
    assert [row.number for row in rows()] == list(range(1, 13))
    assert all(len(row.clause) > 40 for row in rows())


def test_a_row_is_whole_or_due() -> None:
    for row in rows():
        parts = (row.code, row.tests, row.sabotages)
        assert all(parts) or (not any(parts) and row.due), f"P{row.number} is neither tested nor due"


def test_what_a_row_names_is_there_and_its_test_is_named_after_it() -> None:
    for row in rows():
        for path in (*row.code, *row.tests):
            assert path.exists(), f"P{row.number}: {path} is not there"
        for path in row.tests:
            assert path.name.startswith(f"test_p{row.number:02}_")
            assert path.read_text("utf-8").startswith(f'"""P{row.number}')


def test_rows_and_sabotages_name_each_other() -> None:
    listed = {(row.number, name) for row in rows() for name in row.sabotages}
    assert listed == {(sabotage.promise, sabotage.name) for sabotage in SABOTAGES}
    assert len({sabotage.name for sabotage in SABOTAGES}) == len(SABOTAGES)


def test_every_sabotage_still_fits_the_code_and_names_a_test_of_its_promise() -> None:
    """That its test turns red is what `make sabotage` shows."""
    tests = {row.number: row.tests for row in rows()}
    for sabotage in SABOTAGES:
        file, _, name = sabotage.test.partition("::")
        path = ROOT / "tests" / "policy" / file
        assert path in tests[sabotage.promise], sabotage.name
        assert re.search(rf"^(async )?def {name}\(", path.read_text("utf-8"), re.MULTILINE), sabotage.name
        for change in sabotage.changes:
            text = (ROOT / change.path).read_text("utf-8")
            assert text.count(change.old) == 1, f"{sabotage.name} no longer fits {change.path}"
            assert change.new != change.old


def test_every_test_of_a_promise_has_a_row() -> None:
    files = {path.resolve() for path in (ROOT / "tests" / "policy").glob("test_p[0-9]*.py")}
    assert files == {path for row in rows() for path in row.tests}
