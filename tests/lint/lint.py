#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""lint.py - what can be said of the source without judgement: dependencies and form

usage: lint.py [--root FOLDER] [--rule NAME]...

Prints `file:line: [rule] what is wrong` for each breach and exits with 1 if there is
any. RULES at the end names them all; test_lint.py plants a breach of every one.
The dependency tables below say the same as docs/ARCHITECTURE.md.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch

SKIPPED_FOLDERS = {".git", "build", "__pycache__", ".venv", "node_modules"}
DATA_FOLDERS = ("tests/corpus/", "tests/vectors/")  # what tests read, byte for byte
SPDX = "SPDX-License-Identifier: Apache-2.0"

# Third-party header -> the files that may include it. Tests may include any.
THIRD_PARTY = {
    "sqlite3.h": ["master/store*.c", "master/store_sql.h"],
    "nng/*": ["common/rpc_*.c"],
    "curl/*": ["common/aws_http.c", "common/aws_curl.[ch]", "common/aws_transfer.c"],
    "gnutls/gnutls.h": ["client/bridge/tls.c"],  # libmicrohttpd's sessions are GnuTLS's
    "sodium.h": [
        "client/bridge/tokens.c",  # hashes of tokens, compared in constant time
        "common/noise.c",
        "common/key.c",
        "common/session_cookie.c",
        "common/id.c",
        "common/aws_sign.c",
        "master/keys.c",
    ],
    "cjson/cJSON.h": ["common/json.c"],
    "microhttpd.h": ["client/bridge/*.c", "client/bridge/*.h"],
    "protobuf-c/*": [
        "common/rpc_*",
        "common/codec.[ch]",
        "master/message.[ch]",
        "master/outbox.[ch]",
        "master/request.h",
        "master/services.h",
        "master/routes.c",
    ],
    "expat.h": ["common/aws_xml.c"],
    "yaml.h": ["common/yaml*.c", "master/api_spec.c", "client/cli/*.c"],
    "archive.h": ["agent/project.c", "client/cli/*.c", "master/blobs.c"],
    "archive_entry.h": ["agent/project.c", "client/cli/*.c", "master/blobs.c"],
    "zlib.h": ["master/*.c"],
    "zstd.h": ["master/*.c"],
    "cmocka.h": [],
}

MASTER_HANDLERS = (
    "deploy submit work sync control query batchlist supply finish recover routes audit"
).split()
WIRE_HEADER_USERS = [
    "common/codec.[ch]",
    "common/rpc_*",
    "agent/session.c",
    "agent/messages.[ch]",
    "client/api.c",
    "master/act.c",
    "master/dispatch.c",
    "master/services.c",
] + [f"master/{name}.[ch]" for name in MASTER_HANDLERS]

# What a folder may include besides itself; the most specific row counts.
LAYERS = {
    "common": ["common", "proto"],
    "common/program": [],  # what programs have and tests have not
    "master": ["master", "common", "proto"],
    "agent": ["agent", "common", "proto"],
    "client": ["client", "common", "proto"],
    "client/cli": ["client/cli", "client", "common"],
    "client/bridge": ["client/bridge", "client", "common"],
}

# Arrows inside the master go from a lower number to a higher one or stay level.
MASTER_RANKS = {"main": 0, "master": 1, "services": 1, "act": 1, "courier": 1, "dispatch": 1,
                "enqueuings": 1, "loop": 2, "routes": 3, "prepare": 3}
MASTER_RANKS.update({name: 4 for name in MASTER_HANDLERS if name != "routes"})
PURE_MASTER = (
    "api_spec api_predictor api_compute api_field api_document submission json_stream glob"
    " partition job batch worker scheduler"
).split()
PURE_FORBIDDEN = [
    "time.h", "sys/time.h", "sys/timerfd.h", "common/clock.h",                # clock
    "sys/socket.h", "sys/un.h", "netinet/*", "arpa/*", "netdb.h", "poll.h",   # socket
    "sys/epoll.h", "nng/*", "curl/*", "common/rpc_*", "common/object.h",
    "sqlite3.h", "master/store*.h", "master/loop.h", "common/fs.h",           # store
    "unistd.h", "fcntl.h", "pthread.h", "common/log.h",
]

BANNED = (
    "strcpy stpcpy strcat sprintf vsprintf strtok atoi atol atoll atof gets alloca"
    " system popen tmpnam mktemp scanf fscanf sscanf vscanf vfscanf vsscanf"
).split()

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.M)


class Source:
    """One file of the tree: its path from the root, its text, its includes."""

    def __init__(self, root, path):
        self.path = path
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            self.text = file.read()
        self.lines = self.text.splitlines()

    @property
    def is_c(self):
        return self.path.endswith((".c", ".h"))

    @property
    def is_test(self):
        return self.path.startswith("tests/")

    def includes(self):
        """(line number, header, quoted?) for each #include."""
        for match in INCLUDE.finditer(self.text):
            line = self.text.count("\n", 0, match.start(2)) + 1
            yield line, match.group(2), match.group(1) == '"'


def code_only(text):
    """The text with comments and literals blanked out, lines kept."""
    token = re.compile(
        r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S
    )
    return token.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def matches(path, patterns):
    return any(fnmatch(path, pattern) for pattern in patterns)


def third_party_row(header):
    return next((row for row in THIRD_PARTY if fnmatch(header, row)), None)


SYSTEM_HEADER = re.compile(  # glibc's and the kernel's own headers
    r"^(std\w+|assert|byteswap|complex|ctype|dirent|dlfcn|endian|err|errno|error|execinfo"
    r"|fcntl|fenv|float|fnmatch|fts|ftw|getopt|glob|grp|ifaddrs|inttypes|langinfo|libgen|limits"
    r"|link|locale|malloc|math|mntent|netdb|poll|pthread|pty|pwd|regex|sched|[a-z]*mmintrin|semaphore"
    r"|setjmp|signal|spawn|string|strings|sysexits|syslog|termios|tgmath|threads|time"
    r"|uchar|ucontext|unistd|utime|wchar|wctype|wordexp"
    r"|(arpa|asm|linux|net|netinet|netpacket|sys|sanitizer)/.+)\.h$"
)


def check_spdx(source):
    comment = {".c": "/* {} */", ".h": "/* {} */", ".proto": "// {}", ".sql": "-- {}"}
    hash_kinds = (".py", ".cmake", ".sh", ".yaml", "CMakeLists.txt")
    ending = os.path.splitext(source.path)[1]
    head = source.lines[:2]
    if ending in comment:
        wanted = comment[ending].format(SPDX)
        if head[:1] != [wanted]:
            yield 1, f"the first line is not `{wanted}`"
    elif source.path.endswith(hash_kinds) or (head and head[0].startswith("#!")):
        first = 1 if head and head[0].startswith("#!") else 0
        if head[first:first + 1] != [f"# {SPDX}"]:
            yield first + 1, f"line {first + 1} is not `# {SPDX}`"


def check_banner(source):
    if source.is_c:
        name = os.path.basename(source.path)
        second = source.lines[1] if len(source.lines) > 1 else ""
        if not re.match(rf"/\* {re.escape(name)} - \S", second):
            yield 2, f"the second line does not begin `/* {name} - ` and say what it answers"


def check_include_path(source, root):
    if not source.is_c:
        return
    for line, header, quoted in source.includes():
        if header.startswith(".") or "/../" in header:
            yield line, f"{header}: includes are written from the repository's root"
        elif quoted and not header.endswith(".pb-c.h"):
            if not os.path.exists(os.path.join(root, header)):
                yield line, f'"{header}" is no file of the repository, seen from its root'


def check_include_order(source):
    """The file's own header (or the one a test tests); then system, third-party, ours."""
    if not source.is_c:
        return
    own = os.path.basename(os.path.splitext(source.path)[0] + ".h").removeprefix("test_")
    names = ["system", "third-party", "our own"]
    reached = 0
    for position, (line, header, quoted) in enumerate(source.includes()):
        if position == 0 and quoted and os.path.basename(header) == own:
            continue
        group = 2 if quoted else 1 if third_party_row(header) else 0
        if group < reached:
            yield line, f"{header}: {names[group]} header behind {names[reached]} ones"
        reached = max(reached, group)


def check_third_party(source):
    if not source.is_c:
        return
    for line, header, quoted in source.includes():
        if quoted:
            continue
        row = third_party_row(header)
        if row is None and not SYSTEM_HEADER.match(header):
            yield line, f"<{header}> is in no dependency table (tests/lint/lint.py)"
        elif row and not source.is_test and not matches(source.path, THIRD_PARTY[row]):
            allowed = ", ".join(THIRD_PARTY[row]) or "tests"
            yield line, f"<{header}> may be included only by {allowed}"


def check_wire(source):
    if not source.is_c or source.is_test:
        return
    for line, header, _ in source.includes():
        if header.endswith(".pb-c.h") and not matches(source.path, WIRE_HEADER_USERS):
            yield line, f"{header}: generated types stop at {', '.join(WIRE_HEADER_USERS)}"


def check_layer(source):
    if not source.is_c or source.is_test:
        return
    folder = os.path.dirname(source.path)
    allowed = LAYERS.get(folder)
    if allowed is None:
        yield 1, f"folder {folder} has no row in LAYERS (tests/lint/lint.py)"
        return
    stem = os.path.splitext(os.path.basename(source.path))[0]
    for line, header, quoted in source.includes():
        target = os.path.dirname(header)
        if not quoted:
            continue
        if target not in allowed:
            yield line, f"{folder} must not include {header}"
        elif folder == target == "master":
            other = os.path.splitext(os.path.basename(header))[0]
            if MASTER_RANKS.get(other, 5) < MASTER_RANKS.get(stem, 5):
                yield line, f"{header}: the arrow turns back (main > master > loop > routes > handlers > the rest)"


def check_pure(source):
    stem, ending = os.path.splitext(os.path.basename(source.path))
    if os.path.dirname(source.path) != "master" or stem not in PURE_MASTER:
        return
    if ending not in (".c", ".h"):
        return
    for line, header, _ in source.includes():
        if matches(header, PURE_FORBIDDEN):
            yield line, f"{header}: a deciding file knows no clock, socket, file or store"


BANNED_CALL = re.compile(rf"(?<![\w.>])({'|'.join(BANNED)})\s*\(")


def check_banned(source):
    if not source.is_c:
        return
    for number, line in enumerate(code_only(source.text).splitlines(), 1):
        for match in BANNED_CALL.finditer(line):
            yield number, f"{match.group(1)} is banned"


def check_packages(source, root):
    """apt-packages.txt: sorted, and with each package that the build or a test needs."""
    if source.path != "deploy/apt-packages.txt":
        return
    listed = source.lines
    for number, line in enumerate(listed, 1):
        if not re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", line):
            yield number, f"{line!r} is not one package name"
    if listed != sorted(set(listed)):
        yield 1, "packages are not sorted, or one is there twice"
    wanted = set()
    for path in files_of(root):
        if path.endswith((".cmake", "CMakeLists.txt")):
            text = Source(root, path).text
            wanted |= set(re.findall(r"cortex_dependency\(\s*\w+\s+([a-z0-9.+-]+)", text))
            wanted |= set(re.findall(r"apt-get install ([a-z0-9.+-]+)", text))
        elif path.startswith(("tests/support/", "deploy/")):
            for names in re.findall(r"^\s*apt_need ([a-z0-9 .+-]+)$", Source(root, path).text, re.M):
                wanted |= set(names.split())
    for name in sorted(wanted - set(listed)):
        yield len(listed), f"{name} is needed and not listed"


def check_format(root, paths):
    """clang-format on all C files at once; yields (path, line, message)."""
    tool = shutil.which("clang-format")
    if not tool:
        yield "tests/lint/lint.py", 0, "clang-format is missing: apt-get install clang-format"
        return
    done = subprocess.run(
        [tool, "--dry-run", "-Werror", "--style=file"] + paths,
        cwd=root, capture_output=True, text=True,
    )
    seen = set()
    for path, line in re.findall(r"^(.+?):(\d+):\d+: error", done.stderr, re.M):
        if path not in seen:  # one line a file is enough
            seen.add(path)
            yield path, int(line), f"not formatted: clang-format -i {path}"
    if done.returncode and not seen:
        yield ".clang-format", 0, done.stderr.strip() or "clang-format failed"


# Rule -> its check of one source file. "format" looks at all files at once.
RULES = {
    "spdx": lambda source, root: check_spdx(source),
    "banner": lambda source, root: check_banner(source),
    "include-path": check_include_path,
    "include-order": lambda source, root: check_include_order(source),
    "third-party": lambda source, root: check_third_party(source),
    "wire": lambda source, root: check_wire(source),
    "layer": lambda source, root: check_layer(source),
    "pure": lambda source, root: check_pure(source),
    "banned": lambda source, root: check_banned(source),
    "packages": check_packages,
    "format": None,
}


def files_of(root):
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in SKIPPED_FOLDERS)
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names]
    return sorted(path for path in found if not path.startswith(DATA_FOLDERS))


def is_text(root, path):
    with open(os.path.join(root, path), "rb") as file:
        return b"\0" not in file.read(1024)


def lint(root, rules):
    paths = [path for path in files_of(root) if is_text(root, path)]
    checks = [rule for rule in rules if RULES[rule]]
    for path in paths:
        source = Source(root, path)
        for rule in checks:
            for line, message in RULES[rule](source, root) or ():
                yield path, line, rule, message
    if "format" in rules:
        for path, line, message in check_format(root, [p for p in paths if p.endswith((".c", ".h"))]):
            yield path, line, "format", message


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", default=os.path.join(here, "..", ".."))
    parser.add_argument("--rule", action="append", choices=sorted(RULES))
    options = parser.parse_args()
    count = 0
    for path, line, rule, message in lint(os.path.abspath(options.root), options.rule or list(RULES)):
        print(f"{path}:{line}: [{rule}] {message}")
        count += 1
    print(f"lint: {count} breaches" if count else "lint: nothing to say")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
