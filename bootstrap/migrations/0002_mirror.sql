-- What a mirror keeps besides: the newest checkpoint that its witness cosigned, which may be ahead of the entries, and
-- why it cosigns nothing more of this log. A log's own ledger leaves both empty.

CREATE TABLE witnessed (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    note BLOB NOT NULL
) STRICT;

CREATE TABLE refusal (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    reason TEXT NOT NULL,
    proof BLOB NOT NULL
) STRICT;
