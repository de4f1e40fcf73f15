-- What people ask about their data, what others ask about them, and what was told to whom.

CREATE TABLE rights_request (
    -- The receipt's number.
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id),
    kind TEXT NOT NULL CHECK (kind IN (
        'access', 'portability', 'rectification', 'deletion', 'restriction', 'lifting', 'objection', 'consent'
    )),
    -- What of it: a purpose, or fields; a fixed word.
    subject TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'waiting', 'done', 'refused', 'withdrawn')),
    -- What the person wrote, and what the operator answered.
    words TEXT NOT NULL,
    answer TEXT NOT NULL,
    asked_at_s INTEGER NOT NULL,
    due_at_s INTEGER NOT NULL,
    -- When a deletion is carried out.
    acts_at_s INTEGER,
    ended_at_s INTEGER
) STRICT;

CREATE INDEX rights_request_account ON rights_request (account_id, asked_at_s);
CREATE INDEX rights_request_asked ON rights_request (asked_at_s) WHERE state NOT IN ('open', 'waiting');
CREATE INDEX rights_request_due ON rights_request (due_at_s) WHERE state IN ('open', 'waiting');
CREATE UNIQUE INDEX rights_request_deletion ON rights_request (account_id)
    WHERE kind = 'deletion' AND state = 'waiting';

CREATE TABLE rights_event (
    id TEXT PRIMARY KEY,
    request_id TEXT NOT NULL REFERENCES rights_request (id) ON DELETE CASCADE,
    at_s INTEGER NOT NULL,
    event TEXT NOT NULL,
    -- NULL for the service itself.
    by_account_id TEXT
) STRICT;

CREATE INDEX rights_event_request ON rights_event (request_id, at_s);

CREATE TABLE rights_objection (
    account_id TEXT NOT NULL REFERENCES account (id),
    purpose TEXT NOT NULL,
    made_at_s INTEGER NOT NULL,
    PRIMARY KEY (account_id, purpose)
) STRICT, WITHOUT ROWID;

-- Whose identity is gone, so that it goes again if a backup from before is restored.
CREATE TABLE erasure (
    account_id TEXT PRIMARY KEY REFERENCES account (id),
    erased_at_s INTEGER NOT NULL,
    -- 'wish' or 'child'.
    why TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE contact_message (
    id TEXT PRIMARY KEY,
    account_id TEXT,
    reply_to TEXT NOT NULL,
    topic TEXT NOT NULL,
    words TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'answered', 'closed')),
    written_at_s INTEGER NOT NULL,
    due_at_s INTEGER NOT NULL,
    ended_at_s INTEGER,
    ended_by_account_id TEXT,
    ip_prefix TEXT NOT NULL
) STRICT;

CREATE INDEX contact_message_written ON contact_message (written_at_s);
CREATE INDEX contact_message_account ON contact_message (account_id);
CREATE INDEX contact_message_prefix ON contact_message (written_at_s) WHERE ip_prefix <> '';

CREATE TABLE child_report (
    id TEXT PRIMARY KEY,
    -- What the reporter knows of the account, why, and where to reach the reporter; all gone with the decision.
    about TEXT NOT NULL,
    words TEXT NOT NULL,
    reporter TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'erased', 'dismissed')),
    reported_at_s INTEGER NOT NULL,
    due_at_s INTEGER NOT NULL,
    decided_at_s INTEGER,
    decided_by_account_id TEXT,
    -- The account that was erased.
    account_id TEXT,
    ip_prefix TEXT NOT NULL
) STRICT;

CREATE INDEX child_report_reported ON child_report (reported_at_s);
CREATE INDEX child_report_decided ON child_report (decided_at_s);
CREATE INDEX child_report_prefix ON child_report (reported_at_s) WHERE ip_prefix <> '';

-- Who was told of which version of the notice.
CREATE TABLE notice_told (
    account_id TEXT NOT NULL REFERENCES account (id),
    version TEXT NOT NULL,
    told_at_s INTEGER NOT NULL,
    PRIMARY KEY (account_id, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE lawful_request (
    id TEXT PRIMARY KEY,
    received_at_s INTEGER NOT NULL,
    kind TEXT NOT NULL,
    authority TEXT NOT NULL,
    country TEXT NOT NULL,
    -- What was asked for, without names.
    summary TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'answered', 'partly', 'refused')),
    entered_at_s INTEGER NOT NULL,
    entered_by_account_id TEXT NOT NULL,
    closed_at_s INTEGER,
    closed_by_account_id TEXT
) STRICT;

CREATE INDEX lawful_request_received ON lawful_request (received_at_s);

-- The public counts, which outlive the register.
CREATE TABLE lawful_count (
    year INTEGER NOT NULL,
    kind TEXT NOT NULL,
    received INTEGER NOT NULL,
    answered INTEGER NOT NULL,
    partly INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    PRIMARY KEY (year, kind)
) STRICT, WITHOUT ROWID;

-- For the purge, which looks for the oldest.
CREATE INDEX access_log_prefix ON access_log (at_s) WHERE ip_prefix <> '';
CREATE INDEX session_seen ON session (seen_at_s);
CREATE INDEX known_browser_known ON known_browser (known_at_s);
CREATE INDEX mail_queued ON mail (queued_at_s);
CREATE INDEX host_agreement_signed ON host_agreement (signed_at_s);
CREATE INDEX refused_lane_at ON refused_lane (refused_at_s);
CREATE INDEX appeal_made ON appeal (made_at_s);
CREATE INDEX sanction_given ON sanction (given_at_s);
CREATE INDEX payout_key_registered ON payout_key (registered_at_s);
