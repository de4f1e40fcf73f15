-- Hosts, who runs them, how they perform, and what operators decide about them.

CREATE TABLE registration_code (
    -- SHA-256 of the code, which is shown once and kept nowhere.
    hash BLOB PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id),
    made_at_s INTEGER NOT NULL,
    expires_at_s INTEGER NOT NULL,
    used_at_s INTEGER
) STRICT;

CREATE INDEX registration_code_account ON registration_code (account_id);

CREATE TABLE host (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id),
    -- The Ed25519 key that its peer id is made of.
    peer_key BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    -- Whether the status page may call it by its name.
    named_in_public INTEGER NOT NULL DEFAULT 0,
    -- What its sanctions make of it, and since when.
    state TEXT NOT NULL CHECK (state IN ('active', 'suspended', 'removed')),
    state_at_s INTEGER NOT NULL,
    -- When its operator took it out; NULL while it is in.
    retired_at_s INTEGER,
    registered_at_s INTEGER NOT NULL,
    -- As 'peernet host' found out for itself.
    cores INTEGER NOT NULL,
    memory_mib INTEGER NOT NULL,
    gpus TEXT NOT NULL,
    engine TEXT NOT NULL,
    software TEXT NOT NULL,
    -- When this node last looked, and last got an answer; the region as the host's own offers claim it.
    measured_at_s INTEGER NOT NULL DEFAULT 0,
    answered_at_s INTEGER NOT NULL DEFAULT 0,
    region TEXT NOT NULL DEFAULT '',
    -- The end of the newest report that was taken.
    reported_until_s INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX host_account ON host (account_id);
CREATE INDEX host_due ON host (measured_at_s);
CREATE INDEX host_state ON host (state, answered_at_s);

-- Whose earnings go where: a settlement in the ledger names a payout key, and nothing else.
CREATE TABLE payout_key (
    public_key BLOB PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id),
    host_id TEXT NOT NULL REFERENCES host (id),
    registered_at_s INTEGER NOT NULL
) STRICT;

CREATE INDEX payout_key_account ON payout_key (account_id);
CREATE INDEX payout_key_host ON payout_key (host_id);

-- Who signed which version of the agreement, with what anybody can check it by.
CREATE TABLE host_agreement (
    id TEXT PRIMARY KEY,
    host_id TEXT NOT NULL REFERENCES host (id),
    account_id TEXT NOT NULL,
    version TEXT NOT NULL,
    digest BLOB NOT NULL,
    portal TEXT NOT NULL,
    code TEXT NOT NULL,
    payout_key BLOB NOT NULL,
    signature BLOB NOT NULL,
    payout_signature BLOB NOT NULL,
    signed_at_s INTEGER NOT NULL
) STRICT;

CREATE INDEX host_agreement_host ON host_agreement (host_id, signed_at_s);

CREATE TABLE host_model (
    host_id TEXT NOT NULL REFERENCES host (id),
    name TEXT NOT NULL,
    -- Whether the operator declared it, or this node has found it in the host's offers.
    source TEXT NOT NULL CHECK (source IN ('declared', 'offered')),
    digest BLOB NOT NULL,
    seen_at_s INTEGER NOT NULL,
    PRIMARY KEY (host_id, name, source)
) STRICT, WITHOUT ROWID;

CREATE INDEX host_model_source ON host_model (source, name);

-- What this node has measured, an hour a row.
CREATE TABLE host_measured (
    host_id TEXT NOT NULL REFERENCES host (id),
    hour_at_s INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    answers INTEGER NOT NULL,
    -- The sum over the answers, and the longest.
    round_trip_us INTEGER NOT NULL,
    slowest_us INTEGER NOT NULL,
    PRIMARY KEY (host_id, hour_at_s)
) STRICT, WITHOUT ROWID;

CREATE INDEX host_measured_at ON host_measured (hour_at_s);

-- The same over all hosts, for the status page.
CREATE TABLE network_measured (
    hour_at_s INTEGER PRIMARY KEY,
    tries INTEGER NOT NULL,
    answers INTEGER NOT NULL
) STRICT;

-- What hosts say of themselves, an hour a row.
CREATE TABLE host_reported (
    host_id TEXT NOT NULL REFERENCES host (id),
    hour_at_s INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    answer_tokens INTEGER NOT NULL,
    first_tokens INTEGER NOT NULL,
    first_token_ms INTEGER NOT NULL,
    later_tokens INTEGER NOT NULL,
    later_tokens_ms INTEGER NOT NULL,
    PRIMARY KEY (host_id, hour_at_s)
) STRICT, WITHOUT ROWID;

CREATE INDEX host_reported_at ON host_reported (hour_at_s);

-- What hosts have refused, by lane: no text, and nobody's name.
CREATE TABLE abuse_report (
    id TEXT PRIMARY KEY,
    host_id TEXT NOT NULL REFERENCES host (id),
    lane_key BLOB NOT NULL,
    category TEXT NOT NULL,
    count INTEGER NOT NULL,
    reported_at_s INTEGER NOT NULL,
    UNIQUE (host_id, lane_key, category)
) STRICT;

CREATE INDEX abuse_report_lane ON abuse_report (lane_key);
CREATE INDEX abuse_report_at ON abuse_report (reported_at_s);
CREATE INDEX abuse_report_host ON abuse_report (host_id, reported_at_s);

-- Lanes that this node settles nothing for any more.
CREATE TABLE refused_lane (
    lane_key BLOB PRIMARY KEY,
    refused_by TEXT NOT NULL,
    refused_at_s INTEGER NOT NULL
) STRICT;

-- What operators, and later inspections, hold against a host. What is in force makes the host's state.
CREATE TABLE sanction (
    id TEXT PRIMARY KEY,
    host_id TEXT NOT NULL REFERENCES host (id),
    kind TEXT NOT NULL CHECK (kind IN ('strike', 'suspension', 'removal', 'forfeiture')),
    reason TEXT NOT NULL,
    explanation TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('operator', 'inspection')),
    given_by TEXT,
    given_at_s INTEGER NOT NULL,
    -- When it ends by itself; NULL for never.
    lapses_at_s INTEGER,
    ended_at_s INTEGER,
    -- 'appeal', 'lifted', 'lapsed' or 'done'.
    ended_why TEXT,
    -- Forfeitures: a second operator's agreement, and what was forfeited.
    seconded_by TEXT,
    seconded_at_s INTEGER,
    amount_microcredits INTEGER
) STRICT;

CREATE INDEX sanction_host ON sanction (host_id, given_at_s);
CREATE INDEX sanction_kind ON sanction (kind, ended_at_s);

CREATE TABLE appeal (
    id TEXT PRIMARY KEY,
    sanction_id TEXT NOT NULL UNIQUE REFERENCES sanction (id),
    host_id TEXT NOT NULL REFERENCES host (id),
    account_id TEXT NOT NULL,
    words TEXT NOT NULL,
    made_at_s INTEGER NOT NULL,
    decided_by TEXT,
    decided_at_s INTEGER,
    outcome TEXT CHECK (outcome IN ('granted', 'rejected')),
    explanation TEXT
) STRICT;

CREATE INDEX appeal_host ON appeal (host_id);
CREATE INDEX appeal_open ON appeal (decided_at_s, made_at_s);
