#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""test_lint.py - does the linter notice a planted breach of each of its rules?

"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

import lint  # noqa: E402

SPDX_C = "/* SPDX-License-Identifier: Apache-2.0 */\n"


def c_file(name, body):
    return f"{SPDX_C}/* {name} - a planted breach */\n{body}"


def including(path, *headers):
    return c_file(os.path.basename(path), "".join(f"#include {h}\n" for h in headers))


# Rule -> [(path, text of the file planted there)], each of which must be noticed.
PLANTED = {
    "spdx": [
        ("common/planted.c", "/* planted.c - no licence */\n"),
        ("tests/planted.py", "import sys\n"),
        ("deploy/planted", "#!/bin/bash\necho\n"),
        ("master/schema/999.sql", "SELECT 1;\n"),
        ("proto/planted.proto", 'syntax = "proto3";\n'),
    ],
    "banner": [
        ("common/planted.c", SPDX_C + "int planted;\n"),
        ("common/planted.h", SPDX_C + "/* another.h - a wrong name */\n"),
    ],
    "include-path": [
        ("common/planted.c", including("planted.c", '"../master/loop.h"')),
        ("common/planted.c", including("planted.c", '"error.h"')),
    ],
    "include-order": [
        ("common/planted.c", including("planted.c", '"common/error.h"', "<stdio.h>")),
        ("common/planted.c", including("planted.c", "<sodium.h>", "<stdio.h>")),
    ],
    "third-party": [
        ("master/planted.c", including("planted.c", "<sqlite3.h>")),
        ("common/planted.c", including("planted.c", "<nng/nng.h>")),
        ("agent/planted.c", including("planted.c", "<nng/protocol/reqrep0/req.h>")),
        ("client/planted.c", including("planted.c", "<curl/curl.h>")),
        ("agent/planted.c", including("planted.c", "<sodium.h>")),
        ("master/planted.c", including("planted.c", "<cjson/cJSON.h>")),
        ("client/cli/planted.c", including("planted.c", "<microhttpd.h>")),
        ("master/job.h", including("job.h", "<protobuf-c/protobuf-c.h>")),
        ("common/planted.c", including("planted.c", "<expat.h>")),
        ("agent/planted.c", including("planted.c", "<yaml.h>")),
        ("client/planted.c", including("planted.c", "<archive.h>")),
        ("client/planted.c", including("planted.c", "<archive_entry.h>")),
        ("agent/planted.c", including("planted.c", "<zlib.h>")),
        ("agent/planted.c", including("planted.c", "<zstd.h>")),
        ("client/bridge/planted.c", including("planted.c", "<gnutls/gnutls.h>")),
        ("common/planted.c", including("planted.c", "<cmocka.h>")),
        ("common/planted.c", including("planted.c", "<boost/asio.hpp>")),
    ],
    "wire": [
        ("master/job.c", including("job.c", '"proto/types.pb-c.h"')),
        ("client/cli/planted.c", including("planted.c", '"proto/client.pb-c.h"')),
        ("agent/worker.c", including("worker.c", '"proto/agent.pb-c.h"')),
    ],
    "layer": [
        ("common/planted.c", including("planted.c", '"master/job.h"')),
        ("common/planted.c", including("planted.c", '"agent/worker.h"')),
        ("common/planted.c", including("planted.c", '"client/api.h"')),
        ("master/planted.c", including("planted.c", '"agent/worker.h"')),
        ("agent/planted.c", including("planted.c", '"client/api.h"')),
        ("client/planted.c", including("planted.c", '"master/job.h"')),
        ("client/planted.c", including("planted.c", '"client/cli/render.h"')),
        ("client/cli/planted.c", including("planted.c", '"client/bridge/routes.h"')),
        ("client/bridge/planted.c", including("planted.c", '"client/cli/render.h"')),
        ("master/store.c", including("store.c", '"master/submit.h"')),
        ("master/job.c", including("job.c", '"master/routes.h"')),
        ("master/submit.c", including("submit.c", '"master/loop.h"')),
        ("elsewhere/planted.c", c_file("planted.c", "")),
    ],
    "pure": [
        ("master/job.c", including("job.c", "<time.h>")),
        ("master/batch.h", including("batch.h", '"common/clock.h"')),
        ("master/scheduler.c", including("scheduler.c", "<sys/socket.h>")),
        ("master/glob.c", including("glob.c", '"master/store.h"')),
        ("master/partition.c", including("partition.c", '"common/object.h"')),
        ("master/submission.c", including("submission.c", '"common/rpc_server.h"')),
    ],
    "banned": [
        ("common/planted.c", c_file("planted.c", f"int x = {name}(y);\n"))
        for name in lint.BANNED
    ],
    "packages": [
        ("deploy/apt-packages.txt", "zsh\nbash\n"),
        ("deploy/apt-packages.txt", "two names\n"),
        ("deploy/apt-packages.txt", "build-essential\n"),
    ],
    "format": [("common/planted.c", c_file("planted.c", "int  x ;\n"))],
}


def run_lint(root, rule):
    command = [sys.executable, os.path.join(HERE, "lint.py"), "--root", root, "--rule", rule]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


class PlantedBreaches(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.root = os.path.join(cls.folder.name, "tree")
        skipped = shutil.ignore_patterns(*lint.SKIPPED_FOLDERS)
        shutil.copytree(ROOT, cls.root, ignore=skipped, symlinks=True)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def plant(self, rule, path, text):
        target = os.path.join(self.root, path)
        before = None
        if os.path.exists(target):
            with open(target, "rb") as file:
                before = file.read()
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)
        try:
            return run_lint(self.root, rule)
        finally:
            os.unlink(target)
            if before is not None:
                with open(target, "wb") as file:
                    file.write(before)

    def test_every_rule_has_a_breach_to_notice(self):
        self.assertEqual(set(PLANTED), set(lint.RULES))

    def test_every_dependency_row_has_a_breach_to_notice(self):
        planted = "".join(text for _, text in PLANTED["third-party"])
        for row in lint.THIRD_PARTY:
            self.assertIn(f"<{row.rstrip('*')}", planted)

    def test_every_planted_breach_fails_the_linter(self):
        for rule, breaches in PLANTED.items():
            for path, text in breaches:
                with self.subTest(rule=rule, path=path, text=text.splitlines()[-1]):
                    status, output = self.plant(rule, path, text)
                    self.assertEqual(status, 1, output)
                    self.assertIn(f"{path}:", output)
                    self.assertIn(f"[{rule}]", output)

    def test_words_in_comments_strings_and_longer_names_are_no_calls(self):
        text = c_file("planted.c", '/* atoi() */\nconst char *x = "system(";\nint y = my_atoi(1);\n')
        _, output = self.plant("banned", "common/planted.c", text)
        self.assertNotIn("common/planted.c", output)


class PlantedFindings(unittest.TestCase):
    """clang-tidy and cppcheck fail on a file that deserves it."""

    def analyze(self, tool, body):
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.join(folder, "planted.c")
            build = os.path.join(folder, "build")
            os.mkdir(build)
            shutil.copy(os.path.join(ROOT, ".clang-tidy"), folder)
            with open(source, "w", encoding="utf-8") as file:
                file.write(body)
            entry = {"directory": folder, "file": source, "command": f"cc -c {source} -o x.o"}
            with open(os.path.join(build, "compile_commands.json"), "w", encoding="utf-8") as file:
                json.dump([entry], file)
            command = [sys.executable, os.path.join(HERE, "analyze.py"), tool, build]
            return subprocess.run(command, capture_output=True, text=True)

    FAULTY = {
        "tidy": "int f(int x)\n{\n    if (x)\n        return 1;\n    return 0;\n}\n",
        "cppcheck": "int f(void)\n{\n    int x[2] = {0, 0};\n    return x[5];\n}\n",
    }

    def test_a_planted_finding_fails_each_tool(self):
        for tool, body in self.FAULTY.items():
            with self.subTest(tool=tool):
                done = self.analyze(tool, body)
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertIn("planted.c", done.stdout + done.stderr)

    def test_a_clean_file_passes_each_tool(self):
        for tool in self.FAULTY:
            with self.subTest(tool=tool):
                done = self.analyze(tool, "int f(int x);\nint f(int x)\n{\n    return x;\n}\n")
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
