-- SPDX-License-Identifier: Apache-2.0
-- 006_deadline.sql - when a job times out, in the time of one boot of the machine
--
-- That time does not jump as the wall clock may. After a reboot, or from a master that
-- did not write it, what is left is reckoned by the wall clock once more.
ALTER TABLE job ADD COLUMN deadline_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN deadline_boot TEXT NOT NULL DEFAULT '';  -- the kernel's id of it
