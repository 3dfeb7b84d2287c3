#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""analyze.py - what clang-tidy and cppcheck say of the files of a build

usage: analyze.py tidy|cppcheck BUILD_FOLDER [--jobs N]

Reads BUILD_FOLDER/compile_commands.json; generated files are left out. clang-tidy's
verdict on a file is kept in BUILD_FOLDER/tidy-cache under a hash of the file, of all
headers it reads, of its command and of .clang-tidy, so that only what changed is looked
at again. Its analyzer goes a third as deep into a function as it could, which takes half the
time; with CORTEX_FULL=1 all the way. Exits with 1 if there is a finding.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import shlex
import subprocess
import sys

CPPCHECK_OPTIONS = [
    "--enable=warning,performance,portability",
    "--inline-suppr",
    "--suppress=missingIncludeSystem",
    "--suppress=*:*/build/*",
    "--std=c11",
    "--error-exitcode=1",
    "--quiet",
    "--template={file}:{line}: {severity}: {message} [{id}]",
]
FULL = os.environ.get("CORTEX_FULL", "0") not in ("", "0")
DEPTH = [f"--extra-arg={word}" for word in
         ("-Xclang", "-analyzer-config", "-Xclang", f"max-nodes={225000 if FULL else 75000}")]
# Warnings of gcc that clang-tidy's clang does not know.
FOREIGN_OPTIONS = ("-fsanitize", "-fno-sanitize")


def entries_of(build):
    """The compile commands of our own files, one a file."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        commands = json.load(file)
    own = {}
    for entry in commands:
        if not os.path.abspath(entry["file"]).startswith(os.path.abspath(build) + os.sep):
            own.setdefault(entry["file"], entry)
    return [own[path] for path in sorted(own)]


def arguments_of(entry):
    """Compiler options without input, output and what only gcc knows."""
    words = entry.get("arguments") or shlex.split(entry["command"])
    kept, skip = [], False
    for word in words[1:]:
        if skip:
            skip = False
        elif word in ("-o", "-c", "-MF", "-MT", "-MQ"):
            skip = word != "-c"
        elif word not in ("-MD", entry["file"]) and not word.startswith(FOREIGN_OPTIONS):
            kept.append(word)
    return kept


def fingerprint(entry, configuration):
    """A hash of all that clang-tidy's verdict hangs on."""
    command = ["clang", *arguments_of(entry), "-MM", entry["file"]]
    done = subprocess.run(command, cwd=entry["directory"], capture_output=True, text=True)
    if done.returncode:
        return None  # let clang-tidy say what is wrong
    paths = done.stdout.split(":", 1)[1].replace("\\\n", " ").split()
    digest = hashlib.sha256(configuration)
    digest.update(" ".join(arguments_of(entry)).encode())
    for path in paths:
        with open(os.path.join(entry["directory"], path), "rb") as file:
            digest.update(path.encode() + b"\0" + file.read())
    return digest.hexdigest()


def tidy_file(entry, configuration, cache):
    """What clang-tidy says of a file, "" if nothing."""
    key = fingerprint(entry, configuration)
    if key and os.path.exists(os.path.join(cache, key)):
        return ""
    command = ["clang-tidy", "--quiet", *DEPTH, entry["file"], "--", *arguments_of(entry)]
    done = subprocess.run(command, cwd=entry["directory"], capture_output=True, text=True)
    if done.returncode:
        return done.stdout + done.stderr
    if key:
        open(os.path.join(cache, key), "w", encoding="utf-8").close()
    return ""


def tidy(entries, build, jobs):
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    version = subprocess.run(["clang-tidy", "--version"], capture_output=True, check=True)
    with open(os.path.join(root, ".clang-tidy"), "rb") as file:
        configuration = version.stdout + file.read() + " ".join(DEPTH).encode()
    cache = os.path.join(build, "tidy-cache")
    os.makedirs(cache, exist_ok=True)
    findings = 0
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        runs = [pool.submit(tidy_file, entry, configuration, cache) for entry in entries]
        for entry, run in zip(entries, runs):
            text = run.result()
            if text:
                findings += 1
                print(f"--- {entry['file']}\n{text}", flush=True)
    print(f"clang-tidy: {len(entries)} files, {findings} with findings")
    return 1 if findings else 0


def cppcheck(entries, build, jobs):
    cache = os.path.join(build, "cppcheck-cache")
    os.makedirs(cache, exist_ok=True)
    project = os.path.join(cache, "own.json")
    with open(project, "w", encoding="utf-8") as file:
        json.dump(entries, file)
    command = ["cppcheck", *CPPCHECK_OPTIONS, f"-j{jobs}", f"--project={project}"]
    command.append(f"--cppcheck-build-dir={cache}")
    status = subprocess.run(command, check=False).returncode
    print(f"cppcheck: {len(entries)} files" + (", with findings" if status else ""))
    return 1 if status else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tool", choices=["tidy", "cppcheck"])
    parser.add_argument("build")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    os.nice(19)  # it has time: tests that run beside it wait for one another
    build = os.path.abspath(options.build)
    run = tidy if options.tool == "tidy" else cppcheck
    return run(entries_of(build), build, options.jobs)


if __name__ == "__main__":
    sys.exit(main())
