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

CREATE TABLE notice_acceptance (
    account_id TEXT NOT NULL REFERENCES account (id),
    version TEXT NOT NULL,
    at_s INTEGER NOT NULL,
    PRIMARY KEY (account_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    -- SHA-256 of what the cookie holds. It changes while the session lasts; the handle names the session.
    id BLOB PRIMARY KEY,
    handle TEXT NOT NULL UNIQUE,
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

-- Links in mails: each is good once, and for a while.
CREATE TABLE mail_link (
    -- SHA-256 of what the link carries.
    id BLOB PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id),
    purpose TEXT NOT NULL CHECK (purpose IN ('verify', 'recover', 'change_email')),
    -- The address that it proves.
    address TEXT NOT NULL,
    made_at_s INTEGER NOT NULL,
    expires_at_s INTEGER NOT NULL
) STRICT;

CREATE INDEX mail_link_account ON mail_link (account_id, purpose);
CREATE INDEX mail_link_expires ON mail_link (expires_at_s);

-- What programs show to act for a person.
CREATE TABLE api_token (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id),
    -- SHA-256 of the token.
    secret_hash BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    -- Words with spaces between them.
    scopes TEXT NOT NULL,
    made_at_s INTEGER NOT NULL,
    expires_at_s INTEGER NOT NULL,
    -- The day (its first second) on which it was used last.
    used_day_at_s INTEGER,
    -- When its person last proved with it who they are.
    proved_at_s INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX api_token_account ON api_token (account_id);

-- Browsers in which a person has signed in, so that others who guess cannot lock that person out there.
CREATE TABLE known_browser (
    -- SHA-256 of what its cookie holds.
    id BLOB PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id),
    known_at_s INTEGER NOT NULL
) STRICT;

CREATE INDEX known_browser_account ON known_browser (account_id);

-- How often something was tried, so that a restart forgets nothing of it.
CREATE TABLE attempt_count (
    kind TEXT NOT NULL,
    -- A hash of whom it is counted for: an address, an IP prefix, an account.
    subject BLOB NOT NULL,
    since_s INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (kind, subject)
) STRICT, WITHOUT ROWID;

CREATE INDEX attempt_count_since ON attempt_count (since_s);

-- Mails that wait to be sent. They are gone once the mailer has taken them.
CREATE TABLE mail (
    id TEXT PRIMARY KEY,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    queued_at_s INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try_at_s INTEGER NOT NULL
) STRICT;

CREATE INDEX mail_next_try ON mail (next_try_at_s);

-- Who looked at, or changed, what is not their own; and what people did that others must be able to ask about.
CREATE TABLE access_log (
    id TEXT PRIMARY KEY,
    at_s INTEGER NOT NULL,
    -- Who did it; NULL for the service itself.
    by_account_id TEXT,
    -- Whom it is about.
    about_account_id TEXT,
    action TEXT NOT NULL,
    -- The thing, such as 'payout/PAYOUTID'; never a name or an address.
    object TEXT NOT NULL,
    ip_prefix TEXT NOT NULL
) STRICT;

CREATE INDEX access_log_at ON access_log (at_s);
CREATE INDEX access_log_about ON access_log (about_account_id, at_s);
