-- SPDX-License-Identifier: Apache-2.0
-- 005_ended_worker.sql - whose a worker was that has ended
--
-- Its last lines come in after that, and only the agent that had it may write them.
CREATE TABLE ended_worker (
    worker_id INTEGER PRIMARY KEY,
    job_id    INTEGER NOT NULL,
    agent_id  BLOB NOT NULL
) STRICT;
CREATE INDEX ended_worker_job ON ended_worker (job_id);
