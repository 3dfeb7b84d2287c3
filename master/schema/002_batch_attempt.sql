-- SPDX-License-Identifier: Apache-2.0
-- 002_batch_attempt.sql - which attempt a batch's row tells of

-- The number of the last attempt that ended and was counted: after a restart it is not
-- taken up again, however late its agent still speaks of it. 0: not known.
ALTER TABLE batch ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0;
