"""How a class of data leaves a table when its period is over."""

from collections.abc import Mapping

from attrs import field, frozen

__all__ = ["Purge"]


@frozen
class Purge:
    """One of the ways. Each package lists its own in `data_classes.PURGES`, in the order in which they run.

    What makes the names safe in a statement: they stand in our code, and nothing of them is input.
    """

    data_class: str
    table: str
    aged_by: str
    """The column with the time that the period begins at, which has an index; rows without a time stay."""
    empties: Mapping[str, int | str | None] = field(factory=dict)
    """The columns that are emptied, and what stands there then; none for deleting the rows."""
    only: str = ""
    """A condition on the rows, such as `state <> 'open'`; for `empties`, one that says that there is something left
    (`ip_prefix <> ''`), with a partial index on `aged_by`: `CREATE INDEX ... ON access_log (at_s) WHERE ...`."""
    key: str | tuple[str, ...] = "id"
    """The table's primary key."""
