-- The ledger of one log. All of it is public but `submission_id`, which says no more than the leaf does.

CREATE TABLE entry (
    position INTEGER PRIMARY KEY CHECK (position >= 0),
    submission_id BLOB NOT NULL UNIQUE,
    leaf BLOB NOT NULL
) STRICT;

-- Full nodes of the tree: (level, position) covers the leaves from position * 2^level. They never change.
CREATE TABLE node (
    level INTEGER NOT NULL CHECK (level >= 0),
    position INTEGER NOT NULL CHECK (position >= 0),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, position)
) STRICT, WITHOUT ROWID;

-- The one current checkpoint, replaced by compare-and-swap on the note.
CREATE TABLE checkpoint (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    note BLOB NOT NULL
) STRICT;
