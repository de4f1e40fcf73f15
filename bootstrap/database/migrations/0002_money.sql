-- Credits and money. The journal is the truth about amounts; the tables beside it say what its movements are about.

-- The accounts of the journal, which bookkeeping calls so; people's accounts have the word here, so these are books.
CREATE TABLE book (
    -- Such as 'bought:ACCOUNT' or 'income:EUR'.
    id TEXT PRIMARY KEY,
    account_id TEXT REFERENCES account (id),
    kind TEXT NOT NULL,
    -- 'microcredits', or a currency, whose smallest unit is counted.
    unit TEXT NOT NULL,
    -- On which side its balance stands.
    side TEXT NOT NULL CHECK (side IN ('debit', 'credit')),
    debits INTEGER NOT NULL DEFAULT 0,
    credits INTEGER NOT NULL DEFAULT 0,
    CHECK ((side = 'debit' AND debits >= credits) OR (side = 'credit' AND credits >= debits))
) STRICT;

CREATE INDEX book_account ON book (account_id);

CREATE TABLE movement (
    -- What it does, and so what may happen only once, such as 'purchase/PURCHASE/credit'.
    key TEXT PRIMARY KEY,
    debit_book TEXT NOT NULL REFERENCES book (id),
    credit_book TEXT NOT NULL REFERENCES book (id),
    amount INTEGER NOT NULL CHECK (amount > 0),
    -- What it belongs to, such as 'purchase/PURCHASE'.
    about TEXT NOT NULL,
    at_s INTEGER NOT NULL
) STRICT;

CREATE INDEX movement_debit ON movement (debit_book, at_s);
CREATE INDEX movement_credit ON movement (credit_book, at_s);
CREATE INDEX movement_about ON movement (about);
CREATE INDEX movement_at ON movement (at_s);

CREATE TABLE subscription (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id),
    plan TEXT NOT NULL,
    microcredits INTEGER NOT NULL,
    cents INTEGER NOT NULL,
    currency TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('starting', 'open', 'active', 'late', 'ended')),
    -- Whether it ends with the period that is paid for.
    cancelled INTEGER NOT NULL DEFAULT 0,
    url TEXT NOT NULL DEFAULT '',
    period_ends_at_s INTEGER,
    started_at_s INTEGER NOT NULL,
    ended_at_s INTEGER
) STRICT;

CREATE INDEX subscription_account ON subscription (account_id);
CREATE INDEX subscription_ended ON subscription (ended_at_s);

CREATE TABLE purchase (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id),
    -- Which period of which subscription it pays for; NULL for one by itself.
    subscription_id TEXT REFERENCES subscription (id),
    period INTEGER,
    -- What the provider knows it by.
    provider_key TEXT NOT NULL UNIQUE,
    microcredits INTEGER NOT NULL CHECK (microcredits > 0),
    cents INTEGER NOT NULL CHECK (cents > 0),
    currency TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('starting', 'open', 'paid', 'cleared', 'failed')),
    -- How much the provider has given back, and how many credits went with it.
    refunded_cents INTEGER NOT NULL DEFAULT 0,
    dispute TEXT NOT NULL DEFAULT 'none' CHECK (dispute IN ('none', 'open', 'won', 'lost')),
    taken_microcredits INTEGER NOT NULL DEFAULT 0,
    url TEXT NOT NULL DEFAULT '',
    started_at_s INTEGER NOT NULL,
    changed_at_s INTEGER NOT NULL
) STRICT;

CREATE INDEX purchase_account ON purchase (account_id, started_at_s);
CREATE INDEX purchase_subscription ON purchase (subscription_id, period);
CREATE INDEX purchase_started ON purchase (started_at_s);

-- The refunds that operators asked the provider for.
CREATE TABLE refund (
    id TEXT PRIMARY KEY,
    purchase_id TEXT NOT NULL REFERENCES purchase (id),
    cents INTEGER NOT NULL,
    reason TEXT NOT NULL,
    by_account_id TEXT,
    state TEXT NOT NULL CHECK (state IN ('asked', 'done', 'refused')),
    at_s INTEGER NOT NULL
) STRICT;

CREATE INDEX refund_purchase ON refund (purchase_id);
CREATE INDEX refund_at ON refund (at_s);

-- Where the provider pays a person's earnings: it knows the place, we know that there is one.
CREATE TABLE payee (
    account_id TEXT PRIMARY KEY REFERENCES account (id),
    state TEXT NOT NULL CHECK (state IN ('starting', 'open', 'ready')),
    url TEXT NOT NULL DEFAULT '',
    changed_at_s INTEGER NOT NULL
) STRICT;

CREATE TABLE payout (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id),
    microcredits INTEGER NOT NULL CHECK (microcredits > 0),
    cents INTEGER NOT NULL CHECK (cents > 0),
    currency TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'paid', 'failed')),
    asked_at_s INTEGER NOT NULL,
    changed_at_s INTEGER NOT NULL
) STRICT;

CREATE INDEX payout_account ON payout (account_id, asked_at_s);
CREATE INDEX payout_state ON payout (state, asked_at_s);
CREATE INDEX payout_asked ON payout (asked_at_s);

-- What the metering ledger says that hosts are owed, one row for each entry that settles a lane.
CREATE TABLE earning (
    log TEXT NOT NULL,
    position INTEGER NOT NULL,
    payout_key BLOB NOT NULL,
    microcredits INTEGER NOT NULL,
    settled_at_s INTEGER NOT NULL,
    -- NULL until somebody has shown that the key is theirs.
    account_id TEXT REFERENCES account (id),
    PRIMARY KEY (log, position)
) STRICT;

CREATE INDEX earning_account ON earning (account_id, settled_at_s);
CREATE INDEX earning_key ON earning (payout_key, settled_at_s);
CREATE INDEX earning_unclaimed ON earning (payout_key) WHERE account_id IS NULL;
CREATE INDEX earning_settled ON earning (settled_at_s);

-- How far each log has been read.
CREATE TABLE earning_cursor (
    log TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT;

CREATE TABLE redeem_code (
    id TEXT PRIMARY KEY,
    -- SHA-256 of the code, which is random enough that nobody finds it by trying.
    code_hash BLOB NOT NULL UNIQUE,
    microcredits INTEGER NOT NULL CHECK (microcredits > 0),
    label TEXT NOT NULL,
    by_account_id TEXT NOT NULL,
    made_at_s INTEGER NOT NULL,
    expires_at_s INTEGER NOT NULL,
    account_id TEXT REFERENCES account (id),
    redeemed_at_s INTEGER
) STRICT;

CREATE INDEX redeem_code_made ON redeem_code (made_at_s);
CREATE INDEX redeem_code_account ON redeem_code (account_id);

CREATE TABLE credit_grant (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id),
    microcredits INTEGER NOT NULL CHECK (microcredits > 0),
    reason TEXT NOT NULL,
    by_account_id TEXT NOT NULL,
    at_s INTEGER NOT NULL
) STRICT;

CREATE INDEX credit_grant_account ON credit_grant (account_id);
CREATE INDEX credit_grant_at ON credit_grant (at_s);

-- Credits that left an account as blind-signed bearer credits. What they are used for, nobody can tell.
CREATE TABLE withdrawal (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES account (id),
    -- The client's name for it, under which it may ask again.
    request_id BLOB NOT NULL,
    class TEXT NOT NULL CHECK (class IN ('bought', 'granted')),
    denomination INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    state TEXT NOT NULL CHECK (state IN ('debited', 'signed', 'returned')),
    at_s INTEGER NOT NULL,
    -- The blinded messages and then the signatures, one after the other; gone once they are old.
    blinded BLOB,
    signatures BLOB,
    -- SHA-256 of the blinded messages, so that one name does not stand for two requests.
    blinded_hash BLOB NOT NULL,
    UNIQUE (account_id, request_id)
) STRICT;

CREATE INDEX withdrawal_account ON withdrawal (account_id, at_s);
CREATE INDEX withdrawal_state ON withdrawal (state, at_s);
CREATE INDEX withdrawal_at ON withdrawal (at_s);

-- Calls to the payment provider that have no answer yet. Each is made again, under its own key, until it has.
CREATE TABLE provider_call (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('payment', 'subscription', 'cancel', 'refund', 'payee', 'payout')),
    -- The key of what it is done to, where that is another.
    about TEXT NOT NULL,
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    description TEXT NOT NULL,
    made_at_s INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try_at_s INTEGER NOT NULL
) STRICT;

CREATE INDEX provider_call_next ON provider_call (next_try_at_s);

-- What the provider is asked about from time to time, in case that its own word is lost on the way.
CREATE TABLE provider_watch (
    key TEXT PRIMARY KEY,
    next_look_at_s INTEGER NOT NULL,
    until_s INTEGER NOT NULL
) STRICT;

CREATE INDEX provider_watch_next ON provider_watch (next_look_at_s);

-- The offline provider's own: it stands for what a payment provider has in its house.
CREATE TABLE offline_thing (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('payment', 'subscription', 'payee', 'payout')),
    -- In the address of its hosted page.
    token TEXT NOT NULL UNIQUE,
    -- 1 once a call for it has succeeded; until then only the calls are counted.
    made INTEGER NOT NULL DEFAULT 0,
    calls INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT '',
    amount INTEGER NOT NULL DEFAULT 0,
    currency TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '',
    return_to TEXT NOT NULL DEFAULT '',
    -- The subscription that a payment is a period of.
    parent TEXT NOT NULL DEFAULT '',
    -- What will become of it, as its seed or the tester has it.
    fate TEXT NOT NULL DEFAULT '',
    refunded INTEGER NOT NULL DEFAULT 0,
    dispute TEXT NOT NULL DEFAULT 'none',
    periods INTEGER NOT NULL DEFAULT 0,
    cancelled INTEGER NOT NULL DEFAULT 0,
    period_ends_at_s INTEGER,
    next_at_s INTEGER
) STRICT;

CREATE INDEX offline_thing_next ON offline_thing (next_at_s);

-- The refunds that it has made, by their keys.
CREATE TABLE offline_refund (
    key TEXT PRIMARY KEY,
    payment TEXT NOT NULL,
    amount INTEGER NOT NULL
) STRICT;

-- Its word on the way to us.
CREATE TABLE offline_event (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    due_at_s INTEGER NOT NULL
) STRICT;

CREATE INDEX offline_event_due ON offline_event (due_at_s);
