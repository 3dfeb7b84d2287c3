#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_upgrades.py - does a job go on over a change of release, on either side?

Agents reach the master through a relay behind which each takes the other for a later
release. A state database of each older schema, with a job under way in it, is taken over
by a start; one of a later schema is refused and left as it is.
"""

import glob
import os
import sqlite3
import unittest

from clear_cluster import ClearCluster
from ledger import Ledgered
from newer_wire import NewerWire
from relayed import Relayed
from support import ROOT, dose

SCHEMAS = sorted(glob.glob(os.path.join(ROOT, "master", "schema", "*.sql")))


def tables_of(database):
    rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'"
                            " AND name NOT LIKE 'sqlite_%'")
    return [name for (name,) in rows]


def columns_of(database, table):
    return [row[1] for row in database.execute(f"PRAGMA table_info({table})")]


def rewrite_as(path, version):
    """Makes a database one of an older schema; what that cannot hold is left behind."""
    new = sqlite3.connect(path)
    old = sqlite3.connect(":memory:")
    for schema in SCHEMAS[:version]:
        with open(schema, encoding="utf-8") as file:
            old.executescript(file.read())
    for table in tables_of(old):
        columns = columns_of(old, table)
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        rows = new.execute(f"SELECT {names} FROM {table}")
        old.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)
    old.execute(f"PRAGMA user_version = {version}")
    (application,) = new.execute("PRAGMA application_id").fetchone()
    old.execute(f"PRAGMA application_id = {application}")
    old.commit()
    new.close()
    for name in glob.glob(path + "*"):
        os.unlink(name)
    written = sqlite3.connect(path)
    old.backup(written)
    written.close()


class OtherRelease(Relayed):
    cluster_class = ClearCluster
    relay_class = NewerWire
    agents = 2
    agent_cpu = 2

    def test_agents_and_master_take_each_other_for_a_later_release(self):
        for _ in range(dose(1, 10)):
            job = self.submit(400, batch_size=2, workers=4, sleep_s=0.01)
            self.wait_predicted(job, 4)
            self.cluster.kill("master")
            self.cluster.restart()
            self.check_exact(job, 400, batch_size=2, once=True)
            self.wait_ended(job)
        for way in ("up", "down"):
            self.assertGreater(self.relay.changed[way], 10)
        self.assert_exact("agents and master of other releases", dose(1, 10))


class OtherSchema(Ledgered):
    agents = 2
    agent_cpu = 2

    def down(self):
        self.cluster.cortex("cluster", "down", "--state-dir", self.cluster.state)
        return os.path.join(self.master_folder(), "state.db")

    def version(self, path):
        database = sqlite3.connect(path)
        (version,) = database.execute("PRAGMA user_version").fetchone()
        database.close()
        return version

    def test_a_job_under_way_goes_on_from_every_older_schema(self):
        versions = list(range(1, len(SCHEMAS))) * dose(1, 5)
        for version in versions:
            with self.subTest(version=version):
                job = self.submit(120, workers=4, sleep_s=0.03, bad=[7])
                self.wait_predicted(job, 12)
                path = self.down()
                rewrite_as(path, version)
                self.assertEqual(self.version(path), version)
                self.cluster.restart()
                self.wait_ended(job)
                self.assertEqual(len(self.predicted(job)), 120, "a batch was run twice")
        verdict = self.assert_exact("upgrade from an older schema in the middle of a job",
                                    len(versions))
        self.assertEqual({row["state"] for row in verdict.tables["job"]}, {4})
        self.assertEqual(self.version(self.down()), len(SCHEMAS))
        self.cluster.restart()

    def test_a_later_schema_is_refused_and_left_as_it_is(self):
        job = self.submit(60, workers=4, sleep_s=0.03)
        self.wait_predicted(job, 4)
        path = self.down()
        later = len(SCHEMAS) + 1
        self.set_version(path, later)
        before = self.contents(path)
        done = self.cluster.cortex("cluster", "up", *self.cluster.up_options, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f"schema {later}, which is newer than this program's", done.stderr)
        self.assertEqual(self.contents(path), before)
        self.set_version(path, len(SCHEMAS))
        self.cluster.restart()
        self.check_exact(job, 60, once=True)

    def set_version(self, path, version):
        database = sqlite3.connect(path)
        database.execute(f"PRAGMA user_version = {version}")
        database.commit()
        database.close()

    def contents(self, path):
        database = sqlite3.connect(path)
        dump = list(database.iterdump())
        database.close()
        return dump


if __name__ == "__main__":
    unittest.main(verbosity=2)
