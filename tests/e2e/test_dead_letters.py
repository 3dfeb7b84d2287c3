#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_dead_letters.py - is a batch that stays failed in its queue, once and whole?"""

import os
import signal
import unittest

from sqs import Queues
from support import Cluster, ClusterTest, wait_until, write_project

PREDICTOR = """\
class PythonPredictor:
    def __init__(self, config):
        pass

    def predict(self, payload):
        if any("bad" in str(item) for item in payload):
            raise ValueError("a bad item")
"""
# What no reader of JSON would write again as it is.
ODD_ITEMS = [
    r'{"bad": 12345678901234567890, "b": 1.0, "bad": 1e400}',
    r'"bad \u00e9 \"quoted\" \\ \t é 🚀"',
    r'["bad", [ ], { }]',
]
FAILING = ['"bad one"', '"bad two"', '"bad three"', '"bad four"', '"bad five"']


class DeadLetters(ClusterTest):
    maxDiff = 4000

    @classmethod
    def make_cluster(cls):
        cls.queues = Queues("failed", "failed.fifo").start()
        return Cluster(env=cls.queues.env)

    @classmethod
    def prepare(cls):
        cls.cluster.deploy(
            write_project(os.path.join(cls.cluster.folder, "thing"), PREDICTOR)
        )

    @classmethod
    def cleanup(cls):
        cls.queues.stop()
        super().cleanup()

    def setUp(self):
        for messages in self.queues.messages.values():
            messages.clear()
        self.queues.refusals.clear()

    def submit(self, items, queue, batch_size=1, receives=1):
        arn = self.queues.arn(queue)
        return self.cluster.submit(
            "thing",
            (f'{{"workers": 2, "item_list": {{"items": [{", ".join(items)}],'
            f' "batch_size": {batch_size}}}, "sqs_dead_letter_queue":'
            f' {{"arn": "{arn}", "max_receive_count": {receives}}}}}').encode(),
        )

    def end(self, job):
        """Waits for the job's end; returns its failed batches' payloads by id."""
        status = self.cluster.wait_job("thing", job)
        self.assertEqual(status["status"], "status_completed_with_failures")
        path = f"/thing/{job}/batches"
        rows = self.cluster.http("GET", f"{path}?state=failed").json["batches"]
        self.assertEqual(len(rows), status["batch_metrics"]["failed"])
        return {
            row["id"]: self.cluster.http("GET", f"{path}/{row['id']}/payload").text
            for row in rows
        }

    def wait_logged(self, job, text, times=1):
        def count():
            return self.cluster.log("thing", job).count(text) >= times

        wait_until(count, f"the log of {job} says {text!r} {times} times")

    def bodies(self, queue):
        return sorted(message["MessageBody"] for message in self.queues.messages[queue])

    def check_messages(self, job, queue, payloads):
        self.assertEqual(self.bodies(queue), sorted(payloads.values()))
        self.assertEqual(self.queues.refusals, [])
        for message in self.queues.messages[queue]:
            self.assertEqual(message["region"], "eu-west-3")
            self.assertEqual(
                message["MessageAttributes"],
                {
                    "api_name": {"DataType": "String", "StringValue": "thing"},
                    "job_id": {"DataType": "String", "StringValue": job},
                },
            )

    def test_what_stays_failed_is_sent_as_it_was_submitted(self):
        job = self.submit(['"good"', *ODD_ITEMS, '"good"', '"good"'], "failed", 3, 2)
        payloads = self.end(job)
        first = f'["good",{",".join(ODD_ITEMS[:2])}]'
        self.assertEqual(sorted(payloads.values()), sorted([first, f'[{ODD_ITEMS[2]},"good","good"]']))
        self.wait_logged(job, "was sent to the dead letter queue", 2)
        self.check_messages(job, "failed", payloads)
        for batch in payloads:
            self.assertIn(
                f"batch {batch} was sent to the dead letter queue"
                f" {self.queues.arn('failed')} after 2 attempts\n",
                self.cluster.log("thing", job),
            )

    def test_a_queue_that_fails_for_a_while_has_each_batch_once(self):
        self.queues.failures = 12  # more than one letter is tried in one go
        job = self.submit(FAILING, "failed")
        payloads = self.end(job)
        self.assertEqual(len(payloads), 5)
        self.wait_logged(job, "was sent to the dead letter queue", 5)
        self.assertEqual(self.queues.failures, 0)
        self.check_messages(job, "failed", payloads)

    def test_a_queue_that_is_away_over_a_restart_has_each_batch_once(self):
        for how in [signal.SIGKILL, signal.SIGTERM]:
            with self.subTest(how=how.name):
                self.setUp()
                self.queues.stop()
                try:
                    job = self.submit(FAILING, "failed")
                    payloads = self.end(job)  # the job does not wait
                    self.wait_logged(job, "cannot be reached")
                    self.cluster.kill("master", how=how)
                    self.cluster.restart()
                    self.wait_logged(job, "cannot be reached", 2)
                finally:
                    self.queues.start()
                self.wait_logged(job, "was sent to the dead letter queue", 5)
                self.check_messages(job, "failed", payloads)
        self.cluster.kill("master")  # what has been sent is not sent again
        self.cluster.restart()
        job = self.submit(FAILING[:1], "failed.fifo")
        self.wait_logged(job, "was sent to the dead letter queue")
        self.assertEqual(len(self.queues.messages["failed"]), 5)

    def test_a_fifo_queue_tells_batches_by_their_ids(self):
        job = self.submit(FAILING, "failed.fifo")
        payloads = self.end(job)
        self.wait_logged(job, "was sent to the dead letter queue", 5)
        self.check_messages(job, "failed.fifo", payloads)
        for message in self.queues.messages["failed.fifo"]:
            batch = message["MessageDeduplicationId"]
            self.assertEqual(message["MessageGroupId"], batch)
            self.assertEqual(message["MessageBody"], payloads[batch])

    def test_a_queue_that_does_not_exist_is_given_up_and_the_batches_stay(self):
        job = self.submit(FAILING[:2], "none")
        payloads = self.end(job)
        self.wait_logged(job, "could not be sent to the dead letter queue", 2)
        self.assertIn(
            f"{self.queues.arn('none')}: the queue none: the queue does not exist: status 400"
            " QueueDoesNotExist: The specified queue does not exist.; it stays listed as"
            " failed, with its payload\n",
            self.cluster.log("thing", job),
        )
        self.assertEqual(sorted(payloads.values()), sorted(f"[{item}]" for item in FAILING[:2]))
        self.assertEqual(len(self.queues.refusals), 2)

    def test_a_message_that_is_too_large_for_sqs_is_told_with_the_limit(self):
        job = self.submit([f'"bad {"x" * (1 << 20)}"'], "failed")
        payloads = self.end(job)
        self.wait_logged(job, "the limit of SQS is 1048576")
        self.assertEqual(self.queues.messages["failed"], [])
        self.assertEqual([len(text) for text in payloads.values()], [(1 << 20) + 8])

    def test_what_is_no_arn_is_refused_at_submission(self):
        answer = self.cluster.http(
            "POST",
            "/thing",
            {
                "workers": 1,
                "item_list": {"items": [1], "batch_size": 1},
                "sqs_dead_letter_queue": {"arn": "my-queue", "max_receive_count": 1},
            },
        )
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.json["kind"], "aws.invalid_sqs_arn")
        self.assertRegex(
            answer.json["message"], '^sqs_dead_letter_queue: arn: expected .* got "my-queue"'
        )


if __name__ == "__main__":
    unittest.main()
