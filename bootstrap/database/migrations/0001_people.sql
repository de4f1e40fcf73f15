-- Who has an account, and how they sign in. What ties a person to a row elsewhere is the account's random id.

CREATE TABLE account (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL,
    -- The address as addresses are compared: folded, so that one mailbox has one account.
    email_key TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    profile TEXT NOT NULL DEFAULT '',
    password_hash TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('unverified', 'active', 'restricted', 'suspended', 'erased')),
    created_at_s INTEGER NOT NULL,
    verified_at_s INTEGER,
    notice_version TEXT NOT NULL,
    notice_at_s INTEGER NOT NULL
) STRICT;

CREATE TABLE account_role (
    account_id TEXT NOT NULL REFERENCES account (id),
    role TEXT NOT NULL CHECK (role IN ('host', 'operator', 'auditor')),
    given_at_s INTEGER NOT NULL,
    PRIMARY KEY (account_id, role)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    -- SHA-256 of what the cookie holds.
    id BLOB PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id),
    created_at_s INTEGER NOT NULL,
    seen_at_s INTEGER NOT NULL,
    rotated_at_s INTEGER NOT NULL,
    -- The hash before the last rotation, which requests already under way still show.
    previous_id BLOB,
    -- When the person last proved who they are.
    proved_at_s INTEGER NOT NULL,
    ip_prefix TEXT NOT NULL,
    browser_family TEXT NOT NULL
) STRICT;

CREATE INDEX session_account ON session (account_id);
CREATE INDEX session_previous ON session (previous_id);
