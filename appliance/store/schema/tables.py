"""The tables as SQL, each text as its migration made them; none is ever changed.

Statements are parted by a semicolon and an empty line: a trigger has semicolons inside.

Not here: when they are made (the package).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final


def statements(text: str) -> Sequence[str]:
    """The statements of such a text."""
    return text.split(";\n\n")


FIRST: Final = """
CREATE TABLE share (
    name TEXT PRIMARY KEY,
    marker TEXT,                 -- what .transcribe-id holds
    existing TEXT,               -- ask | ignore | process: what was decided about old files
    adopted_ms INTEGER,          -- NULL: nothing runs yet
    old_files INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'unknown',   -- unknown | online | offline | suspect
    why TEXT,
    scanned_ms INTEGER,
    method TEXT                  -- how we find files there: events+scan | scan
) STRICT;

CREATE TABLE sighting (
    share TEXT NOT NULL,
    path BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('receiving', 'settling', 'settled', 'ignored', 'gone')),
    why TEXT,
    correlation TEXT NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    PRIMARY KEY (share, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE job (
    id INTEGER PRIMARY KEY,
    workload TEXT NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 1,
    share TEXT NOT NULL,
    path BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    sha256 TEXT,
    state TEXT NOT NULL,
    stage TEXT,
    priority INTEGER NOT NULL DEFAULT 0,
    attempt INTEGER NOT NULL DEFAULT 0,
    errors INTEGER NOT NULL DEFAULT 0,
    crashes INTEGER NOT NULL DEFAULT 0,
    losses INTEGER NOT NULL DEFAULT 0,
    owner TEXT,
    boot_id TEXT,
    deadline_bt REAL,            -- running: when it is overdue
    due_bt REAL,                 -- retry-wait: when it may queue again
    hint_bt REAL,                -- queued: when the bell was last rung
    cancel INTEGER NOT NULL DEFAULT 0,
    gate TEXT,                   -- waiting: the gate that must open
    code TEXT,
    detail TEXT,
    warnings TEXT,
    duration REAL,               -- seconds of the recording, once known
    correlation TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    UNIQUE (share, path, size, mtime_ns)
) STRICT;

CREATE INDEX job_by_state ON job (state, priority DESC, id);

CREATE INDEX job_by_content ON job (sha256) WHERE sha256 IS NOT NULL;

CREATE TABLE epoch (
    job INTEGER NOT NULL REFERENCES job (id),
    n INTEGER NOT NULL,
    options TEXT NOT NULL,
    who TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (job, n)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER epoch_is_final BEFORE UPDATE ON epoch
BEGIN SELECT raise(ABORT, 'the options of a job never change'); END;

CREATE TABLE attempt (
    job INTEGER NOT NULL REFERENCES job (id),
    n INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    owner TEXT NOT NULL,
    began_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    stage TEXT,
    outcome TEXT,
    code TEXT,
    rss_peak INTEGER,            -- bytes, of the decode child
    PRIMARY KEY (job, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE transcript (
    job INTEGER NOT NULL REFERENCES job (id),
    epoch INTEGER NOT NULL,
    task TEXT NOT NULL,
    source_sha256 TEXT NOT NULL,
    asked_sha256 TEXT NOT NULL,  -- of the options and the model's weights
    sha256 TEXT NOT NULL,
    body BLOB NOT NULL,          -- zlib of JSON
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (job, epoch, task)
) STRICT;

CREATE INDEX transcript_by_content ON transcript (source_sha256, asked_sha256, task);

CREATE TRIGGER transcript_is_final BEFORE UPDATE ON transcript
BEGIN SELECT raise(ABORT, 'a transcript is recorded once'); END;

CREATE TABLE export (
    share TEXT NOT NULL,
    path BLOB NOT NULL,
    job INTEGER NOT NULL REFERENCES job (id),
    epoch INTEGER NOT NULL,
    format TEXT NOT NULL,
    suffix TEXT NOT NULL,
    sha256 TEXT NOT NULL,        -- of what we last meant to write there
    before TEXT,                 -- of what we had published there before that
    bytes INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('intended', 'published')),
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (share, path)
) STRICT, WITHOUT ROWID;

CREATE INDEX export_by_job ON export (job, suffix);

CREATE TABLE event (
    id INTEGER PRIMARY KEY,
    job INTEGER NOT NULL REFERENCES job (id),
    epoch INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    was TEXT,
    became TEXT NOT NULL,
    code TEXT,
    who TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX event_by_job ON event (job, id);

CREATE TRIGGER event_is_final BEFORE UPDATE ON event
BEGIN SELECT raise(ABORT, 'what happened has happened'); END;

CREATE TABLE gate (
    name TEXT PRIMARY KEY,
    code TEXT NOT NULL,
    detail TEXT NOT NULL,
    since_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE transition (
    was TEXT NOT NULL,
    became TEXT NOT NULL,
    PRIMARY KEY (was, became)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER job_moves_by_the_table BEFORE UPDATE OF state ON job
WHEN new.state <> old.state
    AND NOT EXISTS (SELECT 1 FROM transition WHERE was = old.state AND became = new.state)
BEGIN SELECT raise(ABORT, 'not a step of the table of states'); END
"""

ACCESS: Final = """
CREATE TABLE account (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    password TEXT NOT NULL,      -- argon2id, with salt and parameters
    role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    handed INTEGER NOT NULL,     -- 1: somebody else knows the password; it must be changed first
    created_ms INTEGER NOT NULL,
    password_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE allowed (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    share TEXT NOT NULL,         -- or '*': each there is and each to come
    role TEXT NOT NULL CHECK (role IN ('viewer', 'operator')),
    PRIMARY KEY (account, share)
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE, -- SHA-256 of the cookie
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    began_ms INTEGER NOT NULL,
    seen_ms INTEGER NOT NULL,
    proven_ms INTEGER NOT NULL,  -- when its person last gave the password
    address TEXT NOT NULL,
    browser TEXT NOT NULL
) STRICT;

CREATE INDEX session_by_account ON session (account);

CREATE TABLE key (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,   -- the part of the key that may be shown
    digest TEXT NOT NULL,        -- SHA-256 of the part that may not
    purpose TEXT NOT NULL,
    scopes TEXT NOT NULL,        -- JSON
    shares TEXT NOT NULL,        -- JSON
    who TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER,
    used_ms INTEGER,
    revoked_ms INTEGER,
    successor TEXT               -- the key that took its place
) STRICT;

CREATE TABLE setup_code (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    digest TEXT NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (
    n INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    who TEXT NOT NULL,
    address TEXT NOT NULL,
    did TEXT NOT NULL,
    about TEXT NOT NULL,
    detail TEXT NOT NULL,        -- JSON
    before TEXT NOT NULL,        -- hash of the entry before
    hash TEXT NOT NULL
) STRICT;

CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit
BEGIN SELECT raise(ABORT, 'what was done was done'); END;

CREATE TRIGGER audit_stays BEFORE DELETE ON audit
BEGIN SELECT raise(ABORT, 'what was done was done'); END
"""

REVISIONS: Final = """
CREATE TABLE revision (
    job INTEGER NOT NULL REFERENCES job (id),
    epoch INTEGER NOT NULL,
    n INTEGER NOT NULL,          -- from 1; 0 is the transcript as it was recorded
    kind TEXT NOT NULL CHECK (kind IN ('edit', 'replace', 'undo')),
    same_as INTEGER,             -- of an undo: the revision it equals
    body BLOB,                   -- of any other: zlib of JSON, what changed since the one before
    who TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    exported_ms INTEGER,         -- when the files beside the recording said so; NULL: not yet
    PRIMARY KEY (job, epoch, n)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER revision_is_final
BEFORE UPDATE OF job, epoch, n, kind, same_as, body, who, at_ms ON revision
BEGIN SELECT raise(ABORT, 'an edit is undone by another one'); END
"""

SEARCH: Final = """
CREATE TABLE spoken (
    id INTEGER PRIMARY KEY,      -- job, task and place of a segment: search.row_of
    start REAL NOT NULL,         -- seconds
    text TEXT NOT NULL,
    unspaced INTEGER NOT NULL    -- 1: some of it is of a script without spaces
) STRICT;

CREATE INDEX spoken_unspaced ON spoken (id) WHERE unspaced = 1;

CREATE VIRTUAL TABLE spoken_words USING fts5 (
    text, content = 'spoken', content_rowid = 'id', columnsize = 0,
    tokenize = 'unicode61 remove_diacritics 2'
);

CREATE VIRTUAL TABLE spoken_trigrams USING fts5 (
    text, content = 'spoken', content_rowid = 'id', columnsize = 0, tokenize = 'trigram'
);

CREATE TABLE unindexed (
    below INTEGER NOT NULL       -- transcripts of jobs below this number are not in there yet
) STRICT
"""

WISHES: Final = """
CREATE TABLE tag (
    job INTEGER NOT NULL REFERENCES job (id),
    name TEXT NOT NULL,
    PRIMARY KEY (name, job)
) STRICT, WITHOUT ROWID;

CREATE INDEX tag_by_job ON tag (job, name);

CREATE TABLE pause (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    at_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE numbered (
    what TEXT PRIMARY KEY,
    upto INTEGER NOT NULL        -- numbers until there were given, whatever was forgotten since
) STRICT, WITHOUT ROWID
"""

ALERTS: Final = """
CREATE TABLE alert (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,          -- of the finding: disk, share meetings
    code TEXT NOT NULL,          -- of the check
    level INTEGER NOT NULL,
    text TEXT NOT NULL,
    remedy TEXT NOT NULL,
    error TEXT,                  -- code in the catalogue
    phase TEXT NOT NULL CHECK (phase IN ('pending', 'open', 'clearing', 'closed')),
    since_ms INTEGER NOT NULL,
    phase_bt REAL NOT NULL,
    boot_id TEXT NOT NULL,
    opened_ms INTEGER,
    closed_ms INTEGER
) STRICT;

CREATE UNIQUE INDEX alert_live ON alert (name) WHERE phase <> 'closed';

CREATE INDEX alert_by_end ON alert (name, closed_ms) WHERE phase = 'closed';

CREATE TABLE outbox (
    id TEXT PRIMARY KEY,
    channel TEXT NOT NULL,
    body TEXT NOT NULL,
    made_ms INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'given-up')),
    due_bt REAL,
    boot_id TEXT,
    ended_ms INTEGER,
    why TEXT
) STRICT;

CREATE INDEX outbox_waiting ON outbox (channel, made_ms) WHERE state = 'waiting';

CREATE TABLE channel (
    name TEXT PRIMARY KEY,
    failures INTEGER NOT NULL DEFAULT 0,
    rests_bt REAL,
    boot_id TEXT,
    why TEXT
) STRICT;

CREATE TABLE bookmark (what TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT;

CREATE TABLE clock (wall_ms INTEGER NOT NULL, doubt_bt REAL, boot_id TEXT) STRICT
"""

UPLOADS: Final = """
ALTER TABLE job ADD COLUMN submitter TEXT;

CREATE INDEX job_by_submitter ON job (submitter) WHERE submitter IS NOT NULL;

CREATE TABLE upload (
    id TEXT PRIMARY KEY,         -- random: its address
    who TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('kept', 'answered')),
    path BLOB NOT NULL UNIQUE,   -- below the uploads share
    size INTEGER NOT NULL,
    options TEXT NOT NULL,       -- JSON
    key TEXT,                    -- Idempotency-Key
    fingerprint TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    arrived_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX upload_by_key ON upload (who, key) WHERE key IS NOT NULL
"""

TAGS: Final = """
ALTER TABLE tag RENAME TO tag_before;

CREATE TABLE tag (
    name TEXT NOT NULL,
    job INTEGER NOT NULL REFERENCES job (id),
    PRIMARY KEY (name, job)
) STRICT, WITHOUT ROWID;

INSERT INTO tag (name, job) SELECT name, job FROM tag_before;

DROP TABLE tag_before;

CREATE INDEX tag_by_job ON tag (job, name)
"""
