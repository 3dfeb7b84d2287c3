# SPDX-License-Identifier: Apache-2.0
"""seeds.py - which inputs a fuzz target begins with

A target fuzz_<what> begins with what the function <what> below yields: bytes as the
target takes them apart, made of tests/corpus where there is a corpus of that kind. A
target without a function begins with nothing.
"""
import glob
import gzip
import json
import os
import struct
import sys
import zlib

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CORPUS = os.path.join(TESTS, "corpus")
sys.path.insert(0, os.path.join(TESTS, "support"))

from clear_frame import field, frame  # noqa: E402


def of(target):
    """The seeds of fuzz_<what>, as a list of bytes."""
    function = SEEDS.get(target.removeprefix("fuzz_"))
    return list(function()) if function else []


def rows(kind):
    """The cases of tests/corpus/<kind>/*.json."""
    for path in sorted(glob.glob(os.path.join(CORPUS, kind, "*.json"))):
        with open(path, encoding="utf-8") as file:
            yield from json.load(file)


def files(kind):
    for path in sorted(glob.glob(os.path.join(CORPUS, kind, "*"))):
        with open(path, "rb") as file:
            yield file.read()


def text_of(row, key):
    """Text of a row, whose \\u00XX stand for bytes if the row says so."""
    return row[key].encode("latin-1" if row.get("bytes") else "utf-8", "surrogatepass")


def submission():
    return (row["body"].encode("utf-8", "surrogatepass") for row in rows("submission"))


def json_texts():
    yield from submission()
    yield from (text_of(row, "text") for row in rows("json_stream"))
    yield b'[1,-0.5e+3,"\\ud83c\\udf1e\\n",{"a":{"b":[null,true,false]}}]'
    yield b'"\xf0\x9f\x8c\x9e\\u0041\\"\\\\"'


def behind_a_byte(texts):
    for number, text in enumerate(texts):
        yield bytes([number % 256]) + text


def yaml_document():
    yield from files("api_spec")
    yield b"a: |\n  x\n  y\nb: 'c''d'\n\"e\": [0x1F, 0o17, 1e-3, .inf, ~, yes, 0777]\n"


def options():
    for text in "0 -1 10 512 64K 10Mi 2G 500ms 10s 5m 1h 9223372036854775807 8192P".split():
        yield text.encode()


def aws_sign():
    for row in rows("s3_key"):
        key = row["key"].encode("utf-8", "surrogateescape")
        yield b"\1\x60" + key + b"\0prefix\0" + key + b"\0two  blanks\0"


def utf8():
    yield b"\xc3\xa9\xe2\x82\xac\xf0\x9f\x8c\x9e\xed\xa0\x80\xc0\x80\xf4\x90\x80\x80"


def clock():
    for number in 0, 1595207264000000000, 2**63 - 1, 2**63, 2**64 - 1:
        yield struct.pack(">Q", number) + b"69d6faf82e4660d3"


def call(method, message, counter, attachment=b""):
    return frame(method, message, attachment, counter, 1500, b"0123456789abcdef")


METHODS = """Client/Info Client/PutProject Client/Deploy Client/ListApis Client/GetApi
Client/DeleteApi Client/ResolveEndpoint Client/SubmitJob Client/DryRun Client/GetJob
Client/StopJob Client/ListBatches Client/GetPayload Client/ReadLog Client/RotateKey
AgentService/Join AgentService/Sync AgentService/Work AgentService/AppendLog AgentService/GetSetup
AgentService/GetProject""".split()


def codec():
    inner = field(1, 7) + field(2, b"abc") + field(3, 1 << 40)
    bodies = [b"", field(1, b"image-classifier") + field(2, b"key"), inner]
    bodies.append(b"".join(field(number, inner) for number in range(1, 12)))
    for number, method in enumerate(METHODS):
        for body in bodies:
            yield call(b"cortex.v1." + method.encode(), body, number, b"{}")
    for counter in range(64):
        yield call(b"none", bodies[3], counter | counter << 3 & 0x100)


def rpc_server():
    for data in codec():
        yield b"\0" + data
        yield b"\1\1" + struct.pack(">QI", len(data) + 4, 0x80000001) + data
    yield b"\2\0SP\0\0\x30\0\0"
    yield b"\2GET / HTTP/1.1\r\n\r\n"
    yield b"\1\1" + b"\xff" * 8


def glob_patterns():
    for row in rows("glob"):
        pattern = row["pattern"].encode("utf-8", "surrogateescape")
        yield pattern + b"\0" + row.get("text", "s3://b/k").encode("utf-8", "surrogateescape")
    for piece in b"*a", b"**a", b"{a,", b"{,}", b"[!b]*", b"?*":
        yield piece * (1024 // len(piece)) + b"\0" + b"a" * 512


def partition():
    yield bytes([3, 40]) + b"\x021,\x03[2]\x04null"


def quantity():
    return (text.encode() for text in "0 200m 0.5 1Gi 512Mi 1e3 1.0001k 999999999999T .5 5.".split())


def input_file():
    plain = b'{"a":1}\n' * 100
    packed = gzip.compress(plain)
    for kind, data in enumerate((packed, b"\x28\xb5\x2f\xfd\x00\x58\x41\0\0abcdefgh", plain)):
        yield bytes([kind, 255]) + data
    yield b"\0\1" + packed + packed
    yield b"\0\1" + packed[:-9]
    yield b"\0\7" + gzip.compress(bytes(1 << 18))


def target():
    for row in rows("http"):
        line = row["request"].split("\r\n")[0].split(" ")
        yield (line[1] if len(line) > 1 else "").encode("latin-1")
    yield b"/a/b%20c?jobID=69d6faf82e4660d3&limit=3&offset=99&dryRun=t#x"
    yield b"http://host:80/a?69d6faf82e4660d3"


def tokens():
    digest = b"blake2b:" + b"0123456789abcdef" * 4
    yield b"# who submits\nrole=submit api=image-*,a? expires=2027-01-31 " + digest + b" a comment\n"
    yield b"expires=2027-01-31T12:00:00Z role=read " + digest
    yield b"role=admin " + digest + b"\n\nrole=read " + digest[:-1] + b"0\n"
    yield b"api=" + b"*a" * 60 + b"* role=read " + digest


def authorized_keys():
    key = b"cortex-public:" + b"A" * 43
    token = b"cortex-token:" + b"B" * 42 + b"A"
    yield b"# who deploys\nrole=submit api=image-*,audio from=10.0.0.0/8 " + key + b" a comment\n"
    yield b"revoked " + key + b"\r\nrole=agent uses=20 from=::1,2001:db8::/32 " + token
    yield b"role=agent token=" + b"0f" * 16 + b" agent=" + b"f0" * 16 + b" " + key
    yield b"role=read expires=2027-01-31T12:00:00Z " + key + b"\nrole=admin " + key


def written_keys():
    yield b"cortex-public:" + b"A" * 43
    yield b"cortex-token:" + b"B" * 42 + b"A"
    yield b"0123456789abcdef" * 2
    yield b"cortex1:" + b"A" * 72 + b"@tcp://10.0.0.5:8790#" + b"A" * 43
    yield bytes(48) + b"tcp://10.0.0.5:8790"


def aws_xml():
    yield (b'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
           b"<IsTruncated>true</IsTruncated><Contents><Key>a&amp;b%2Fc</Key><Size>5</Size></Contents>"
           b"<Contents><Key>d</Key></Contents></ListBucketResult>")
    yield b"<Error><Code>SlowDown</Code><Message>&#65;&lt;x&gt;<![CDATA[y]]></Message></Error>"
    yield b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    yield b"a & b < c > d \" e"


def aws_settings():
    yield (b"[default]\nregion = eu-west-1 # here\nservices = mine\n[profile other]\n"
           b"role_arn=arn:aws:iam::1:role/x\nsource_profile=default\n[services mine]\ns3 =\n"
           b"  endpoint_url = http://127.0.0.1:9000\n\0"
           b"[default]\naws_access_key_id = A\naws_secret_access_key=b\n[other]\nregion=x")


def sqs_arn():
    yield b"arn:aws:sqs:us-west-2:123456789012:failed.fifo"
    yield b'{"action": "terminate", "time": "2026-11-25T12:00:00Z"}'


def framing():
    yield b"Content-Length\0" + b"5\0"
    yield b"Content-Length\0" + b"5\0Content-Length\0" + b"6\0"
    yield b"Transfer-Encoding\0chunked\0"
    yield b"Transfer-Encoding\0chunked\0content-length\0+7\0"
    yield b"Idempotency-Key\0k\0Idempotency-Keyfolded\0v\0"


def ignore():
    for path, text in (
        (b"a/b/c.py", b"# x\n*.py\n!/a/**/c.py\nlogs/\n"),
        (b"a/b", b"**/b\r\na/**\n\\#x\\ \n[!a-c]?*\n"),
        (b"x/" * 100, b"**/x/**/x/**/y\n" + b"*a*b*c*d*e*f*\n" * 20),
    ):
        yield b"\1" + path + b"\0" + text


def json_writer():
    yield b"\4\0a\0\1b\0\5\xc3\xa9\n\0\2\0\3x\0\6\x7f\"\\\0"


def runner():
    def framed(kind, body):
        return struct.pack("<IB", len(body) + 1, kind) + body

    result = struct.pack("<BqQ", 1, 1596811445557598, 7) + b'{"a":1}'
    whole = framed(16, b"\1s3://b/out") + framed(18, result) + framed(19, b"") + framed(21, b"")
    for step in 1, 7, 255:
        yield bytes([step]) + whole
    yield b"\1" + framed(17, b"\1why") + framed(20, b"because")
    yield b"\1\xff\xff\xff\xff\x12"


def hand():
    yield bytes([0, 1, 1, 2, 2, 0, 18, 3, 3, 1, 5, 9, 6, 0, 7, 7, 20, 1])


def archives():
    import archives as made

    return (data for _, data, _ in made.all_of_them(small=True))


def payload():
    batches = [b"[1]", b"[2,3]", b"[]"]
    data = b"".join(batches) + b"".join(struct.pack("<I", len(batch)) for batch in batches)
    data += segment_magic() + struct.pack("<QI", 5, len(batches))
    yield data + struct.pack("<I", zlib.crc32(data))


def segment_magic():
    import re

    with open(os.path.join(TESTS, "..", "master", "payload.c"), encoding="utf-8") as file:
        return re.search(r'#define MAGIC\s+"([^"]*)"', file.read()).group(1).encode()


SEEDS = {
    "api_spec": lambda: files("api_spec"),
    "aws_settings": aws_settings,
    "aws_sign": aws_sign,
    "aws_xml": aws_xml,
    "blobs": archives,
    "clock": clock,
    "codec": codec,
    "framing": framing,
    "glob": glob_patterns,
    "hand": hand,
    "ignore": ignore,
    "input_file": input_file,
    "json": json_texts,
    "json_scan": lambda: behind_a_byte(json_texts()),
    "json_stream": lambda: behind_a_byte(json_texts()),
    "json_text": lambda: behind_a_byte(json_texts()),
    "json_writer": json_writer,
    "key": written_keys,
    "keys": authorized_keys,
    "options": options,
    "partition": partition,
    "payload": payload,
    "project": archives,
    "quantity": quantity,
    "rpc_server": rpc_server,
    "runner": runner,
    "sqs_arn": sqs_arn,
    "submission": submission,
    "target": target,
    "tokens": tokens,
    "utf8": utf8,
    "yaml_document": yaml_document,
}
