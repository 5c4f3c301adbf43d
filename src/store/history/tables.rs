//! The tables of the history.
//!
//! How something was delivered is said once, in `facet`, and counted by number. Times of day are UTC, and all times
//! UNIX seconds. `total_*` says over all destinations what `destination_*` says of each, so that nobody has to add up.
//! What a list is sorted and filtered by is in narrow rows, without an index that each write would have to mend.

/// A step of the schema: changed by a further step only.
pub(in crate::store) const TABLES: &str = "
    CREATE TABLE facet (
        number        INTEGER PRIMARY KEY,
        way           INTEGER NOT NULL,
        authenticated TEXT    NOT NULL,
        version       TEXT    NOT NULL,
        cipher        TEXT    NOT NULL,
        key_exchange  TEXT    NOT NULL,
        problem       TEXT    NOT NULL,
        key           TEXT    NOT NULL,
        policy        TEXT    NOT NULL,
        level         TEXT    NOT NULL,
        why           TEXT    NOT NULL,
        dry_run       TEXT    NOT NULL,
        UNIQUE (way, authenticated, version, cipher, key_exchange, problem, key, policy, level, why, dry_run)
    ) STRICT;
    CREATE TABLE destination (
        number          INTEGER PRIMARY KEY AUTOINCREMENT, -- never given twice: rows may outlive their destination
        name            TEXT    NOT NULL UNIQUE,
        first           INTEGER NOT NULL,
        last            INTEGER NOT NULL,
        way             INTEGER NOT NULL, -- of the last attempt
        delivered_way   INTEGER,          -- of the last delivery
        downgraded      INTEGER NOT NULL, -- 1: the last delivery was in the clear, after TLS
        last_secured    INTEGER,          -- the last delivery over TLS
        downgrade_first INTEGER,
        downgrade_last  INTEGER,
        downgrades      INTEGER NOT NULL, -- deliveries
        verified        INTEGER NOT NULL, -- attempts, like those below
        encrypted       INTEGER NOT NULL,
        plaintext       INTEGER NOT NULL,
        blocked         INTEGER NOT NULL,
        refused         INTEGER NOT NULL,
        deferred        INTEGER NOT NULL,
        would_block     INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE destination_detail (
        destination  INTEGER PRIMARY KEY,
        facet        INTEGER NOT NULL, -- of the last attempt
        rule         TEXT,             -- of the last attempt
        channel      INTEGER,          -- facet of the last delivery
        channel_at   INTEGER,
        mx           TEXT,
        refusal      TEXT,             -- what kept mail back last
        refusal_at   INTEGER,
        refusal_why  TEXT              -- RFC 8460's result type where it was a policy
    ) STRICT;
    CREATE INDEX destination_rule ON destination_detail (rule) WHERE rule IS NOT NULL;
    CREATE TABLE destination_hour (
        at          INTEGER NOT NULL,
        destination INTEGER NOT NULL,
        facet       INTEGER NOT NULL,
        count       INTEGER NOT NULL,
        PRIMARY KEY (at, destination, facet)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE destination_day (
        at          INTEGER NOT NULL,
        destination INTEGER NOT NULL,
        facet       INTEGER NOT NULL,
        count       INTEGER NOT NULL,
        PRIMARY KEY (at, destination, facet)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE total_hour (
        at    INTEGER NOT NULL,
        facet INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (at, facet)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE total_day (
        at    INTEGER NOT NULL,
        facet INTEGER NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (at, facet)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE rule_use (
        rule        TEXT    NOT NULL PRIMARY KEY,
        first       INTEGER NOT NULL,
        last        INTEGER NOT NULL,
        delivered   INTEGER NOT NULL, -- attempts, like those below
        blocked     INTEGER NOT NULL,
        refused     INTEGER NOT NULL,
        would_block INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE history_size ( -- one row: to count them takes long
        destinations INTEGER NOT NULL,
        day_rows     INTEGER NOT NULL
    ) STRICT;
    INSERT INTO history_size (destinations, day_rows) VALUES (0, 0);
";
