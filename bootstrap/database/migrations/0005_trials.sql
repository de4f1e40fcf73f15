-- How fast hosts serve, as this node finds out with questions of its own: never a question or an answer.

-- When a host's turn is next.
CREATE TABLE host_trial_due (
    host_id TEXT PRIMARY KEY REFERENCES host (id),
    due_at_s INTEGER NOT NULL
) STRICT;

CREATE INDEX host_trial_due_at ON host_trial_due (due_at_s);

-- What came of the questions, an hour and a model a row.
CREATE TABLE host_trial (
    host_id TEXT NOT NULL REFERENCES host (id),
    model TEXT NOT NULL,
    hour_at_s INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    -- Whole answers; what is missing of the tries has failed in one of four ways.
    answers INTEGER NOT NULL,
    timed_out INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    cut_off INTEGER NOT NULL,
    unreached INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    answer_tokens INTEGER NOT NULL,
    -- From the question's leaving to the first piece of its answer: how often, the sum, and the longest.
    first_tokens INTEGER NOT NULL,
    first_token_us INTEGER NOT NULL,
    slowest_first_us INTEGER NOT NULL,
    -- The tokens behind the first piece, how long they took, and the longest gap between two pieces.
    later_tokens INTEGER NOT NULL,
    later_us INTEGER NOT NULL,
    longest_gap_us INTEGER NOT NULL,
    -- First pieces of short and of long prompts: how often, tokens, times.
    short_prompts INTEGER NOT NULL,
    short_tokens INTEGER NOT NULL,
    short_us INTEGER NOT NULL,
    long_prompts INTEGER NOT NULL,
    long_tokens INTEGER NOT NULL,
    long_us INTEGER NOT NULL,
    price_microcredits INTEGER NOT NULL,
    PRIMARY KEY (host_id, model, hour_at_s)
) STRICT, WITHOUT ROWID;

CREATE INDEX host_trial_at ON host_trial (hour_at_s);
CREATE INDEX host_trial_host ON host_trial (host_id, hour_at_s);

-- The same over all hosts: for the status page, and for what it costs.
CREATE TABLE network_trial (
    hour_at_s INTEGER NOT NULL,
    model TEXT NOT NULL,
    tries INTEGER NOT NULL,
    answers INTEGER NOT NULL,
    -- Those of which nothing follows about a host.
    not_tried INTEGER NOT NULL,
    first_tokens INTEGER NOT NULL,
    first_token_us INTEGER NOT NULL,
    later_tokens INTEGER NOT NULL,
    later_us INTEGER NOT NULL,
    price_microcredits INTEGER NOT NULL,
    PRIMARY KEY (hour_at_s, model)
) STRICT, WITHOUT ROWID;
