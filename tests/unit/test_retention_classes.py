"""Every column of the operator's database has a class of data, and every class a period or a reason to have none."""

from bootstrap.database import Database
from bootstrap.retention.classes import CLASSES, COLUMNS


def test_every_column_has_a_class(sqlite_database: Database):
    columns = {f"{table}.{column}" for table, names in sqlite_database.tables().items() for column in names}
    assert columns - COLUMNS.keys() == set(), "say in the package's data_classes.py of which class these are"
    assert COLUMNS.keys() - columns == set(), "these columns are no more"


def test_every_class_that_is_named_is_there():
    assert set(COLUMNS.values()) <= CLASSES.keys()
    assert all(each.reason.endswith(".") for each in CLASSES.values())
