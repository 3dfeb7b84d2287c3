-- SPDX-License-Identifier: Apache-2.0
-- 004_request.sql - calls that were carried out and whose answer may have been lost
--
-- The answer to a repeat is the answer to the first: of a call that can be carried out
-- only once, the request id is kept for a while.
CREATE TABLE request (
    request_id BLOB PRIMARY KEY,
    at_ns      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX request_by_age ON request (at_ns);
