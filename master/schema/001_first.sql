-- SPDX-License-Identifier: Apache-2.0
-- 001_first.sql - what a master remembers

-- One row: which cluster this is, and how often its master has started.
CREATE TABLE master (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    cluster_id BLOB NOT NULL,
    boot       INTEGER NOT NULL
) STRICT;

-- A deployed name and the version it stands for now.
CREATE TABLE api (
    name     TEXT PRIMARY KEY,
    endpoint TEXT NOT NULL UNIQUE,
    api_id   TEXT NOT NULL
) STRICT;

CREATE TABLE api_version (
    api_id         TEXT PRIMARY KEY,
    name           TEXT NOT NULL,
    endpoint       TEXT NOT NULL,
    spec_id        TEXT NOT NULL,
    predictor_id   TEXT NOT NULL,
    project_id     TEXT NOT NULL,
    spec           TEXT NOT NULL,     -- the whole definition, a JSON object
    predictor_path TEXT NOT NULL,
    python_path    TEXT NOT NULL,
    log_level      TEXT NOT NULL,
    config         TEXT NOT NULL,     -- predictor.config, a JSON object
    env            BLOB NOT NULL,     -- NAME=value, each ended by a NUL
    cpu_millis     INTEGER NOT NULL,  -- of one worker
    memory_bytes   INTEGER NOT NULL,
    gpus           INTEGER NOT NULL,
    deployed_ns    INTEGER NOT NULL
) STRICT;
CREATE INDEX api_version_by_name ON api_version (name, deployed_ns);

-- The counts are final in a terminal job; of a live one the batch rows are the truth.
CREATE TABLE job (
    job_id          INTEGER PRIMARY KEY,
    api_name        TEXT NOT NULL,
    api_id          TEXT NOT NULL,
    state           INTEGER NOT NULL,
    workers         INTEGER NOT NULL,
    timeout_s       INTEGER NOT NULL,  -- 0: none
    max_attempts    INTEGER NOT NULL,
    dead_letter_arn TEXT NOT NULL,     -- '' : none
    config          BLOB NOT NULL,     -- the submission's own, as it was sent
    total           INTEGER NOT NULL,
    succeeded       INTEGER NOT NULL,
    failed          INTEGER NOT NULL,
    succeeded_us    INTEGER NOT NULL,
    start_ns        INTEGER NOT NULL,
    end_ns          INTEGER NOT NULL,  -- 0 while it is not terminal
    callback        INTEGER NOT NULL,  -- of on_job_complete: 0 not begun, 1 given out, 2 back
    callback_worker INTEGER NOT NULL,
    reason          TEXT NOT NULL
) STRICT;
CREATE INDEX job_by_api ON job (api_name, job_id);
CREATE INDEX job_live ON job (state) WHERE end_ns = 0;

CREATE TABLE submission_key (
    api_name    TEXT NOT NULL,
    key         TEXT NOT NULL,
    body_hash   TEXT NOT NULL,
    job_id      INTEGER NOT NULL,
    created_ns  INTEGER NOT NULL,
    PRIMARY KEY (api_name, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX submission_key_by_age ON submission_key (created_ns);

-- A stretch of a job's batches: all that stands for those that are only queued. The
-- source_ columns say where the enqueuer goes on behind it.
CREATE TABLE segment (
    job_id        INTEGER NOT NULL,
    number        INTEGER NOT NULL,
    first_index   INTEGER NOT NULL,
    batches       INTEGER NOT NULL,
    bytes         INTEGER NOT NULL,
    checksum      INTEGER NOT NULL,
    source_entry  INTEGER NOT NULL,
    source_offset INTEGER NOT NULL,
    source_item   INTEGER NOT NULL,
    source_line   INTEGER NOT NULL,
    source_etag   TEXT NOT NULL,
    source_key    TEXT NOT NULL,
    PRIMARY KEY (job_id, number)
) STRICT, WITHOUT ROWID;

-- A batch has a row once something has happened to it.
CREATE TABLE batch (
    job_id      INTEGER NOT NULL,
    idx         INTEGER NOT NULL,
    state       INTEGER NOT NULL,  -- 1 queued again, 3 succeeded, 4 failed
    attempts    INTEGER NOT NULL,  -- that ended, whatever way
    failures    INTEGER NOT NULL,  -- that count against max_attempts
    deaths      INTEGER NOT NULL,  -- of workers that had it in predict
    worker      INTEGER NOT NULL,  -- of the last attempt
    start_ms    INTEGER NOT NULL,  -- of the last attempt
    duration_us INTEGER NOT NULL,
    error       TEXT NOT NULL,
    PRIMARY KEY (job_id, idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX batch_failed ON batch (job_id, idx) WHERE state = 4;

-- Who has workers of which job: after a restart the master waits for these agents to
-- say what they hold before it gives out what they may hold.
CREATE TABLE worker (
    worker_id INTEGER PRIMARY KEY,
    job_id    INTEGER NOT NULL,
    agent_id  BLOB NOT NULL
) STRICT;

-- Every change, append-only.
CREATE TABLE event (
    event_id INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ns    INTEGER NOT NULL,
    subject  TEXT NOT NULL,  -- 'api', 'job', 'worker', 'agent', 'batch'
    name     TEXT NOT NULL,  -- which
    action   TEXT NOT NULL,
    detail   TEXT NOT NULL
) STRICT;
