"""Input that cannot be read is set aside with its reason, and the rest goes on."""

import base64
import bz2
import gzip
import json
import lzma
import os
import random
import subprocess
import sys
import textwrap

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from stages.corpus import Documents
from stages.reading.streams import BrokenStreamError, bounded_lines, opened

ENCRYPTED_PDF = base64.b64decode(
    "JVBERi0xLjMKJeLjz9MKMSAwIG9iago8PAovUHJvZHVjZXIgPGJlNWVlMDM1OTc+Cj4+CmVuZG9iagoyIDAgb2Jq"
    "Cjw8Ci9UeXBlIC9QYWdlcwovQ291bnQgMQovS2lkcyBbIDQgMCBSIF0KPj4KZW5kb2JqCjMgMCBvYmoKPDwKL1R5"
    "cGUgL0NhdGFsb2cKL1BhZ2VzIDIgMCBSCj4+CmVuZG9iago0IDAgb2JqCjw8Ci9UeXBlIC9QYWdlCi9SZXNvdXJj"
    "ZXMgPDwKPj4KL01lZGlhQm94IFsgMC4wIDAuMCAxMDAgMTAwIF0KL1BhcmVudCAyIDAgUgo+PgplbmRvYmoKNSAw"
    "IG9iago8PAovViAyCi9SIDMKL0xlbmd0aCAxMjgKL1AgNDI5NDk2NzI5MgovRmlsdGVyIC9TdGFuZGFyZAovTyA8"
    "MGU1MjI5MjVhM2U0ZTg3NGMzY2ZhY2JlZjUxMWE3M2FjNGVjMmJkODY1ZGNkM2Q0NjI3NjE0OTE3YWJmZDdlND4K"
    "L1UgPGUzNTcxODY3MDA5NTg4NjUyMTczOTQxMDJlMDkyZTMyMjhiZjRlNWU0ZTc1OGE0MTY0MDA0ZTU2ZmZmYTAx"
    "MDg+Cj4+CmVuZG9iagp4cmVmCjAgNgowMDAwMDAwMDAwIDY1NTM1IGYgCjAwMDAwMDAwMTUgMDAwMDAgbiAKMDAw"
    "MDAwMDA1OSAwMDAwMCBuIAowMDAwMDAwMTE4IDAwMDAwIG4gCjAwMDAwMDAxNjcgMDAwMDAgbiAKMDAwMDAwMDI2"
    "MSAwMDAwMCBuIAp0cmFpbGVyCjw8Ci9TaXplIDYKL1Jvb3QgMyAwIFIKL0luZm8gMSAwIFIKL0lEIFsgPDkyMDM2"
    "MjU0NzhiZmU1MzU0NDkxYWUyNzc2ODZkYjZjPiA8OTIwMzYyNTQ3OGJmZTUzNTQ0OTFhZTI3NzY4NmRiNmM+IF0K"
    "L0VuY3J5cHQgNSAwIFIKPj4Kc3RhcnR4cmVmCjQ3NgolJUVPRgo="
)


def pdf(*pages):
    """A PDF with a text layer, by hand."""
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, page in enumerate(pages):
        drawn = f"BT /F1 12 Tf 20 100 Td ({page}) Tj ET".encode() if page else b""
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 200] "
            b"/Resources << /Font << /F1 3 0 R >> >> /Contents %d 0 R >>" % (5 + 2 * number)
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn))
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, content in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1,
        start,
    )
    return bytes(out)


def warc(*bodies, kind=b"text/html; charset=utf-8", compressed=True):
    records = []
    for number, body in enumerate(bodies):
        http = b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\n\r\n" + body
        head = (
            f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://mill.example/{number}\r\n"
            f"WARC-Record-ID: <urn:uuid:{number}>\r\nWARC-Date: 2026-01-01T00:00:00Z\r\n"
            f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(http)}\r\n\r\n"
        ).encode()
        records.append(head + http + b"\r\n\r\n")
    return b"".join(map(gzip.compress, records)) if compressed else b"".join(records)


PAGE = (
    b"<html><body><p>The mill by the river grinds slowly and well, all day long.</p></body></html>"
)
GOOD = b'{"text": "one"}\n{"text": "two"}\n{"text": "three"}\n'
ROWS = "".join(json.dumps({"text": f"t{n} {random.Random(n).random()}"}) + "\n"
               for n in range(20_000)).encode()  # fmt: skip

# name: content, reason, what the message says, value
BAD = {
    "picture.txt": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary", "binary file.*byte 8 is 0", 8),
    "rows.jsonl": (b"\x7fELF\0\0\0" * 99, "binary", "binary file", 4),
    "latin.txt": (b"na\xefve text", "invalid_utf8", r":1:.*0xef at byte 2", 2),
    "windows.txt": ("text".encode("utf-16"), "not_utf8", "is UTF-16 text; convert it", None),
    "long.txt": (b"x" * 5000, "too_long", "5000 bytes, above max_bytes 2000", 5000),
    "empty.pdf": (pdf("", ""), "pdf_without_text", "no text on 2 pages", 2),
    "locked.pdf": (ENCRYPTED_PDF, "pdf_encrypted", "is encrypted", None),
    "broken.pdf": (b"%PDF-1.4\nnothing more", "pdf_unreadable", "is no PDF", None),
    "none.parquet": (b"not parquet at all", "unreadable", "cannot be read", None),
    "none.arrow": (b"not arrow at all", "unreadable", "cannot be read", None),
    "none.warc": (b"not an archive\n" * 9, "unreadable", "cannot be read", None),
    "menu.html": (b"<html><body></body></html>", "no_text", "the page has no text", None),
    "cut.txt.gz": (gzip.compress(ROWS)[:-9], "damaged_compression", "decompressed further", None),
    "cut.txt.zst": (pa.compress(ROWS, "zstd", asbytes=True)[:-9], "damaged_compression", "", None),
    "none.txt.gz": (b"no gzip", "damaged_compression", "decompressed further", None),
}  # fmt: skip


@pytest.fixture
def read(run_stage):
    def read(folder, **settings):
        return run_stage(Documents, sources=[str(folder)], **settings)

    return read


@pytest.mark.parametrize("name", list(BAD))
def test_a_bad_file_is_set_aside_with_its_reason_and_the_rest_goes_on(tmp_path, read, name):
    content, reason, _, value = BAD[name]
    (tmp_path / name).write_bytes(content)
    (tmp_path / "a_good.txt").write_bytes(b"good")
    (tmp_path / "z_good.txt").write_bytes(b"also good")
    limits = {"max_bytes": 2000} if reason == "too_long" else {}
    ran = read(tmp_path, **limits)
    assert [row["text"] for row in ran.rows("documents")] == ["good", "also good"]
    (dropped,) = ran.rows("dropped")
    assert (dropped["reason"], dropped["source"]) == (reason, str(tmp_path / name))
    if value is not None:
        assert dropped["value"] == value
    assert ran.context.metrics["bad_input"] == ran.context.metrics[f"bad_input.{reason}"] == 1


@pytest.mark.parametrize("name", list(BAD))
def test_strictly_a_bad_file_is_an_error_that_names_it_and_what_is_wrong(tmp_path, read, name):
    content, reason, message, _ = BAD[name]
    (tmp_path / name).write_bytes(content)
    limits = {"max_bytes": 2000} if reason == "too_long" else {}
    with pytest.raises(ValueError, match=f"(?s){name}.*{message}"):
        read(tmp_path, on_bad_input="fail", **limits)


def test_all_bad_files_at_once_leave_the_good_ones(tmp_path, read):
    for name, (content, _, _, _) in BAD.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "good.txt").write_bytes(b"good")
    ran = read(tmp_path, max_bad_fraction=1.0, max_bytes=4000)
    assert [row["text"] for row in ran.rows("documents")] == ["good"]
    assert {row["source"].rpartition("/")[2] for row in ran.rows("dropped")} == set(BAD)


def test_an_input_that_is_mostly_bad_fails_and_shows_the_reasons(tmp_path, read):
    (tmp_path / "rows.jsonl").write_text('{"txt": 1}\n{"text": \n{"text": "fine"}\n')
    with pytest.raises(ValueError, match=r"2 of 3 could not be read, above max_bad_fraction 0.5:.*"
                       r'has no field "text"; it has txt.*:2: is not valid JSON'):  # fmt: skip
        read(tmp_path)


def test_the_share_of_bad_input_on_the_limit_passes_and_one_more_does_not(tmp_path, read):
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n{"text": "c"}\nbad\n')
    assert len(read(tmp_path, max_bad_fraction=0.25).rows("documents")) == 3
    with pytest.raises(ValueError, match=r"max_bad_fraction 0\.24"):
        read(tmp_path, max_bad_fraction=0.24)


def test_bad_lines_are_set_aside_one_by_one_by_line_and_the_others_keep_their_numbers(
    tmp_path, read
):
    path = tmp_path / "rows.jsonl"
    lines = [b'{"text": "one"}', b"{", b'{"text": "na\xefve"}', b'["text"]', b'{"t": 1}',
             b'{"text": "\\ud800"}', b"[" * 100_000, b'{"text": "eight"}', b'{"text": "nine"}']  # fmt: skip
    path.write_bytes(b"\n".join(lines))
    ran = read(path, max_bad_fraction=0.8)
    assert [row["id"] for row in ran.rows("documents")] == [f"{path}#{n}" for n in (1, 8, 9)]
    assert [(row["id"].rpartition("#")[2], row["reason"]) for row in ran.rows("dropped")] == [
        ("2", "invalid_json"),
        ("3", "invalid_utf8"),
        ("4", "no_json_object"),
        ("5", "missing_field"),
        ("6", "invalid_utf8"),
        ("7", "invalid_json"),
    ]
    bad = ran.rows("dropped")[1]
    assert bad["value"] == len(lines[0]) + len(lines[1]) + 2 + lines[2].index(b"\xef")


def test_a_line_above_the_limit_is_set_aside_and_its_neighbours_are_read(tmp_path, read):
    path = tmp_path / "rows.jsonl"
    long = b'{"text": "' + b"y" * 3_000_000 + b'"}'
    path.write_bytes(b'{"text": "one"}\n' + long + b'\n{"text": "three"}')
    ran = read(path, max_bytes=1_000_000)
    assert [row["text"] for row in ran.rows("documents")] == ["one", "three"]
    (dropped,) = ran.rows("dropped")
    assert (dropped["reason"], dropped["value"], dropped["id"]) == (
        "too_long", len(long), f"{path}#2",
    )  # fmt: skip
    assert dropped["text"].startswith('{"text": "yyy')
    assert len(dropped["text"]) <= 200


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_line_far_above_the_limit_is_never_in_memory_whole(tmp_path):
    path = tmp_path / "line.jsonl"
    with path.open("wb") as file:
        for _ in range(300):
            file.write(b"z" * 2**20)
    script = textwrap.dedent("""
        import re, sys
        from pathlib import Path
        from stages.corpus import Documents
        from stages.sources import Bad, Columns, Limits, read_sources
        import pyarrow.csv

        def peak():  # not ru_maxrss: a child inherits its parent's
            return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

        before = peak()
        (bad,) = read_sources([sys.argv[1]], Columns(), None, Limits(max_bytes=2**22))
        stage = Documents(Documents.Config(sources=[sys.argv[1]]))
        stage.sources()
        print(bad.reason, (peak() - before) / 1024)
    """)
    said = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
    ).stdout.split()  # fmt: skip
    assert said[0] == "too_long"
    assert float(said[1]) < 100  # MiB, of a line of 300 MiB


def test_invalid_utf8_can_be_replaced_instead(tmp_path, read):
    (tmp_path / "a.txt").write_bytes(b"na\xefve")
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "\xff!"}')
    ran = read(tmp_path, invalid_utf8="replace")
    assert [row["text"] for row in ran.rows("documents")] == ["na\ufffdve", "\ufffd!"]
    assert ran.rows("dropped") == []


def test_a_truncated_gzip_of_rows_gives_the_rows_before_the_cut(tmp_path, read):
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(ROWS)[:-200_000])
    ran = read(path)
    found = [row["text"] for row in ran.rows("documents")]
    assert 0 < len(found) < 20_000
    expected = [json.loads(line)["text"] for line in ROWS.splitlines()]
    assert found == expected[: len(found)]
    assert "damaged_compression" in {row["reason"] for row in ran.rows("dropped")}


@pytest.mark.parametrize("cut", [30, 400])
def test_a_truncated_archive_gives_the_pages_before_the_cut(tmp_path, read, cut):
    filling = [random.Random(n).randbytes(600).hex().encode() for n in range(3)]
    pages = [PAGE.replace(b"</p>", b" " + more + b"</p>") for more in filling]
    for compressed in (True, False):
        path = tmp_path / ("pages.warc.gz" if compressed else "pages.warc")
        path.write_bytes(warc(*pages, compressed=compressed)[:-cut])
        ran = read(path)
        assert [row["source"] for row in ran.rows("documents")] == [
            "http://mill.example/0",
            "http://mill.example/1",
        ]
        assert [row["reason"] for row in ran.rows("dropped")] == ["truncated"]


def test_a_broken_parquet_file_says_so_and_the_next_one_is_read(tmp_path, read):
    table = pa.table({"text": [f"{n} {random.Random(n).random()}" for n in range(5000)]})
    pa.parquet.write_table(table, tmp_path / "b.parquet")
    pa.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=1000, compression="gzip")
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = b"\0" * 400
    (tmp_path / "a.parquet").write_bytes(content)
    ran = read(tmp_path, shard_rows=100_000)
    texts = [row["text"] for row in ran.rows("documents")]
    assert texts[-5000:] == table.column("text").to_pylist()
    assert texts[:-5000] == table.column("text").to_pylist()[: len(texts) - 5000]
    (dropped,) = ran.rows("dropped")
    assert dropped["reason"] == "unreadable"


# --- formats --------------------------------------------------------------------------------------


def test_a_pdf_gives_the_text_of_its_pages(tmp_path, read):
    (tmp_path / "a.pdf").write_bytes(pdf("The first page.", "", "The third page."))
    (row,) = read(tmp_path).rows("documents")
    assert row["text"] == "The first page.\n\nThe third page."


def test_an_archive_gives_pages_by_their_addresses(tmp_path, read):
    latin = b"<html><head><meta charset='iso-8859-1'></head><body><p>Die M\xfchle am Bach mahlt den ganzen Tag \x93gut\x94.</p></body></html>"
    path = tmp_path / "pages.warc.gz"
    path.write_bytes(warc(PAGE) + warc(latin, kind=b"text/html") + warc(b"\x89PNG", kind=b"image/png")
                     + warc(b"plain words", kind=b"text/plain"))  # fmt: skip
    rows = read(path).rows("documents")
    assert [row["text"] for row in rows] == [
        "The mill by the river grinds slowly and well, all day long.",
        "Die Mühle am Bach mahlt den ganzen Tag “gut”.",
        "plain words",
    ]
    assert {row["source"] for row in rows} == {"http://mill.example/0"}
    assert len({row["id"] for row in rows}) == 3


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_separated_values_keep_every_text_as_it_is_written(tmp_path, read, ending):
    texts = ["plain", "007", "true", "null", "", ' "q" ']
    path = tmp_path / f"rows.{ending}"
    if ending == "csv":
        pa.csv.write_csv(pa.table({"id": list("abcdef"), "text": texts}), path)
    else:
        path.write_text(
            "id\ttext\n" + "".join(f"{i}\t{t}\n" for i, t in zip("abcdef", texts, strict=True))
        )
    rows = read(path, id_field="id").rows("documents")
    assert [(row["id"], row["text"]) for row in rows] == list(zip("abcdef", texts, strict=True))


def test_a_csv_text_may_hold_line_ends_and_a_short_row_is_set_aside(tmp_path, read):
    path = tmp_path / "rows.csv"
    path.write_text('text,k\n"two\nlines",1\nshort\nlast,2\n')
    ran = read(path)
    assert [row["text"] for row in ran.rows("documents")] == ["two\nlines", "last"]
    assert [(r["reason"], r["value"]) for r in ran.rows("dropped")] == [
        ("wrong_number_of_fields", 1)
    ]


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz", "zst"])
def test_a_compressed_file_gives_what_the_plain_one_gives(tmp_path, read, ending):
    pack = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress,
            "zst": lambda content: pa.compress(content, "zstd", asbytes=True)}[ending]  # fmt: skip
    (tmp_path / f"rows.jsonl.{ending}").write_bytes(pack(ROWS))
    (tmp_path / f"text.md.{ending}").write_bytes(pack("Grüße".encode()))
    texts = [row["text"] for row in read(tmp_path).rows("documents")]
    assert texts == [*(json.loads(line)["text"] for line in ROWS.splitlines()), "Grüße"]


def test_an_arrow_stream_is_read_like_an_arrow_file(tmp_path, read):
    table = pa.table({"text": ["a", "b"]})
    with pa.ipc.new_stream(tmp_path / "rows.arrow", table.schema) as writer:
        writer.write_table(table)
    assert [row["text"] for row in read(tmp_path).rows("documents")] == ["a", "b"]


def test_a_store_that_fails_is_no_bad_input(tmp_path):
    class Failing:
        def open(self, path, mode):
            return FailingFile()

    class FailingFile:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

        def read(self, size=-1):
            raise ConnectionResetError("the store is gone")

    for name in ("a.jsonl", "a.jsonl.gz", "a.jsonl.xz", "a.jsonl.zst"):
        with (
            pytest.raises((ConnectionResetError, OSError)) as caught,
            opened(Failing(), name) as stream,
        ):
            list(bounded_lines(stream, 100))
        assert not isinstance(caught.value, BrokenStreamError)
