#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_requests.py - what does a stop, or a repeated submission, do to a cluster?"""

import threading
import time
import unittest

from scenario import Scenario


class Requests(Scenario):
    def test_a_stopped_job_begins_no_batch_after_the_answer(self):
        job = self.submit(2000, workers=2, sleep_s=0.01)
        self.wait_predicted(job, 20)
        answer = self.cluster.http("DELETE", f"/squares/{job}")
        self.assertEqual(answer.text, f"stopped job {job}\n")
        status = self.cluster.wait_job("squares", job)
        self.assertEqual(status["status"], "status_stopped")
        ended = len(self.predicted(job))
        time.sleep(0.5)
        self.assertEqual(len(self.predicted(job)), ended)
        self.assertLess(ended, 2000)
        self.assertEqual(self.completions(job), 0)

    def test_a_stop_survives_a_restart(self):
        job = self.submit(2000, workers=2, sleep_s=0.01)
        self.wait_predicted(job, 5)
        self.cluster.http("DELETE", f"/squares/{job}")
        self.cluster.kill("master")
        self.cluster.restart()
        self.assertEqual(self.cluster.job("squares", job)["status"], "status_stopped")

    def test_a_submission_repeated_with_its_key_is_one_job(self):
        key = {"Idempotency-Key": "order 66"}
        first = self.submit(10, headers=key)
        self.assertEqual(self.submit(10, headers=key), first)
        self.check_exact(first, 10, once=True)
        self.assertEqual(self.submit(10, headers=key), first)
        self.cluster.kill("master")
        self.cluster.restart()
        self.assertEqual(self.submit(10, headers=key), first)
        self.assertEqual(len(self.predicted(first)), 10)

    def test_a_key_used_again_for_another_body_is_a_conflict(self):
        key = {"Idempotency-Key": "order 67"}
        self.submit(10, headers=key)
        answer = self.cluster.http("POST", "/squares", self.body(11), key)
        self.assertEqual(answer.status, 409, answer.text)

    def test_many_at_once_with_one_key_are_one_job(self):
        jobs, body = [], self.body(10)
        key = {"Idempotency-Key": "order 68"}

        def submit():
            jobs.append(self.cluster.submit("squares", body, key))

        threads = [threading.Thread(target=submit) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(jobs), 8)
        self.assertEqual(len(set(jobs)), 1)

    def test_a_submission_that_was_answered_survives_the_master(self):
        for _ in range(5):
            job = self.submit(5)
            self.cluster.kill("master")
            self.cluster.restart()
            self.check_exact(job, 5, once=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
