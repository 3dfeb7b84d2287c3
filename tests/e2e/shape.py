# SPDX-License-Identifier: Apache-2.0
"""shape.py - whether a printed text is the expected one, apart from ids and times

An expected text (expected/*.txt) is written with placeholders. {job}, {uuid}, {time},
{duration}, {stamp}, {pid}, {number}, {average} and {rest} stand for anything of that
form; what is used twice must be the same twice, so a number tells two apart: {uuid1},
{uuid2}. Any other name must be given. A line `...` stands for any lines.

Columns are 3 spaces apart and as wide as their longest cell, so their width hangs on
what the placeholders stand for: tables are laid out anew with it, and then every byte
must agree.
"""

import os
import re

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "expected")

FORMS = {
    "job": r"[0-9a-f]{16}",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "time": r"[0-9]{1,2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} UTC",
    "duration": r"(?:[0-9]+h)?(?:[0-9]+m)?[0-9]+s",
    "average": r"(?:[0-9]+h)?(?:[0-9]+m)?(?:[0-9]+(?:\.[0-9]+)?s|[0-9]+ms)",
    "stamp": r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}",
    "pid": r"[0-9]+",
    "number": r"[0-9]+",
    "rest": r"[^\n]*",
}
PLACEHOLDER = re.compile(r"\{([a-z]+)([0-9]*)\}")
GAP = re.compile(r" {3,}")


def expected(name):
    """The text of expected/<name>.txt."""
    with open(os.path.join(FOLDER, name + ".txt"), encoding="utf-8") as file:
        return file.read()


def literal(text):
    """A regular expression for the text, with any gap between columns."""
    return "".join(
        " {2,}" if GAP.fullmatch(part) else re.escape(part)
        for part in re.split(r"( {3,})", text)
    )


def line_pattern(line, known, seen):
    pattern, at = "", 0
    for found in PLACEHOLDER.finditer(line):
        name, form = found.group(1) + found.group(2), found.group(1)
        pattern += literal(line[at:found.start()])
        at = found.end()
        if name in known:
            pattern += re.escape(known[name])
        elif name in seen:
            pattern += f"(?P={name})"
        else:
            seen.add(name)
            pattern += f"(?P<{name}>{FORMS[form]})"
    return pattern + literal(line[at:])


def pattern_of(template, known):
    seen, pattern = set(), ""
    for line in template.splitlines():
        if line == "...":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += line_pattern(line, known, seen) + r"\n"
    return pattern


def laid_out(lines):
    """The rows of a table with columns as wide as their longest cell."""
    rows = [GAP.split(line) for line in lines]
    if any(len(row) != len(rows[0]) for row in rows):
        return lines
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
        for row in rows
    ]


def filled(template, values):
    """The template with its placeholders replaced and its tables laid out."""
    text = PLACEHOLDER.sub(lambda m: values[m.group(1) + m.group(2)], template)
    blocks = []
    for block in text.split("\n\n"):
        lines = block.split("\n")
        table = [i for i, line in enumerate(lines) if GAP.search(line) and ":   " not in line]
        if table:
            first, last = table[0], table[-1] + 1
            lines[first:last] = laid_out(lines[first:last])
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def match(template, actual, **known):
    """The placeholders' values if the text has the shape; else AssertionError."""
    known = {name: str(value) for name, value in known.items()}
    found = re.fullmatch(pattern_of(template, known), actual)
    if not found:
        raise AssertionError(
            f"expected this shape, {known}:\n{template}\n--- but it is:\n{actual}\n---"
        )
    values = {**known, **found.groupdict()}
    if "\n...\n" not in f"\n{template}":
        want = filled(template, values)
        if want != actual:
            raise AssertionError(f"expected:\n{want}\n--- but it is:\n{actual}\n---")
    return values


def match_file(name, actual, **known):
    return match(expected(name), actual, **known)
