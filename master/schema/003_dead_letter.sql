-- SPDX-License-Identifier: Apache-2.0
-- 003_dead_letter.sql - which failed batches are still to be sent to a queue

-- Written with the failure, removed when the queue has the batch or has refused it.
CREATE TABLE dead_letter (
    job_id   INTEGER NOT NULL,
    idx      INTEGER NOT NULL,
    attempts INTEGER NOT NULL,  -- at the batch, till it was failed
    PRIMARY KEY (job_id, idx)
) STRICT, WITHOUT ROWID;
