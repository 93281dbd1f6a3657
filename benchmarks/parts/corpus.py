"""Quality filters beside datatrove's, and input that is larger than memory should be.

    TOKENMILL_DATA=… python -m benchmarks.parts.corpus

Peer: datatrove's GopherQualityFilter, GopherRepetitionFilter, C4QualityFilter and
FineWebQualityFilter (pip install datatrove humanize spacy), on one core, each filter on every text.
Both sides get the same words: first the pieces between white space, which is the cheapest datatrove
can have; then its own tokenizer for English, a blank spaCy one, beside our `tokens`.
"""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.results import TABLE, row

_ONE_KEEPS = ((True, False), (False, True))
PRESETS = ("gopher_quality", "gopher_repetition", "c4", "fineweb")


def data() -> Path:
    return Path(os.environ["TOKENMILL_DATA"])


def chapters() -> list[str]:
    table = pq.read_table(data() / "books" / "standardebooks_10.parquet")
    return [text for text in table.column("text").to_pylist() if text.strip()]


def short_texts() -> list[str]:
    """FLORES in documents of 12 lines, and the declaration of human rights in every language."""
    import csv
    import lzma

    texts: list[str] = []
    flores = pq.read_table(data() / "flores_dev" / "flores200_dev_60.parquet")
    for name in flores.column_names:
        lines = flores.column(name).to_pylist()
        texts += ["\n".join(lines[start : start + 12]) for start in range(0, 120, 12)]
    with lzma.open(data() / "udhr" / "udhr_articles.tsv.xz", "rt", encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    documents: dict[str, list[str]] = {}
    for line in rows[1:]:
        documents.setdefault(line[0], []).append(line[-1])
    return texts + ["\n\n".join(articles) for articles in documents.values()]


def ours(texts: Sequence[str], words: str) -> list[list[bool]]:
    """Whether each text passes each preset."""
    from operators.corpus.quality import measure_quality
    from operators.corpus.quality_rules import choose_rules, first_failures

    signals = measure_quality(pa.array(texts, pa.large_string()), words=words)  # type: ignore[arg-type]
    columns = {name: signals.column(name).to_numpy() for name in signals.schema.names}
    found = [first_failures(columns, choose_rules([p], {}, {}), len(texts)) for p in PRESETS]
    return [[bool(verdict[i] < 0) for verdict in found] for i in range(len(texts))]


class SpacedWords:
    """Words between white space, for datatrove."""

    _end = re.compile(r"[.!?]+[\"')\]]*(?=\s|$)")

    def word_tokenize(self, text: str) -> list[str]:
        return text.split()

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        ends = [m.end() for m in self._end.finditer(text)]
        if not ends or text[ends[-1] :].strip():
            ends.append(len(text))
        return list(zip([0, *ends[:-1]], ends, strict=True))


def peers(words: str) -> Callable[[Sequence[str]], list[list[bool]]]:
    """datatrove's verdicts, as a function of texts."""
    from datatrove.data import Document
    from datatrove.pipeline import filters
    from datatrove.utils import text as peer_text

    tokenizers = importlib.import_module("datatrove.utils.word_tokenizers")
    if words == "spaced":
        tokenizer: Any = SpacedWords()
        tokenizers.load_word_tokenizer = lambda language: tokenizer
    else:
        importlib.reload(tokenizers)
    peer_text.split_into_parts.cache_clear()
    made = [
        filters.GopherQualityFilter(language="eng"),
        filters.GopherRepetitionFilter(language="eng"),
        filters.C4QualityFilter(language="eng"),
        filters.FineWebQualityFilter(language="eng"),
    ]

    def verdict(each: Any, text: str) -> bool:
        try:
            return each.filter(Document(text=text, id="")) is True
        except ZeroDivisionError:  # a text without a word or line
            return False

    return lambda texts: [[verdict(each, text) for each in made] for text in texts]


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


def speed(texts: Sequence[str], words: str, rounds: int) -> tuple[str, list[float]]:
    peer = peers(words)
    size = sum(len(text.encode()) for text in texts) / 1e6
    ours(texts[:2], words)
    mine, other = [], []
    for _ in range(rounds):
        mine.append(size / timed(lambda: ours(texts, words))[0])
        other.append(size / timed(lambda: peer(texts))[0])
    label = "white space" if words == "spaced" else "tokens / spaCy"
    return row(f"all filters, {size:.1f} MB of chapters, words: {label}", mine, "datatrove", other,
               "MB/s"), mine  # fmt: skip


def agreement(texts: Sequence[str], words: str, what: str) -> Iterator[str]:
    peer = peers(words)(texts)
    mine = ours(texts, words)
    for index, preset in enumerate(PRESETS):
        pairs = Counter((a[index], b[index]) for a, b in zip(mine, peer, strict=True))
        same = pairs[True, True] + pairs[False, False]
        kept, peer_kept = (pairs[True, True] + pairs[other] for other in _ONE_KEEPS)
        line = (
            f"| {what} | {words} | {preset} | {len(texts)} | {kept} | {peer_kept} | "
            f"{same / len(texts):.2%} |"
        )
        print(line, flush=True)
        yield line


def one_long_line() -> str:
    """Memory while a line of 1 GB is read and set aside."""
    script = textwrap.dedent("""
        import re, sys, time
        from pathlib import Path
        from stages.corpus import Documents
        from stages.sources import Columns, Limits, read_sources

        def peak():  # not ru_maxrss: a child inherits its parent's
            return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

        before = peak()
        began = time.perf_counter()
        found = list(read_sources([sys.argv[1]], Columns(), None, Limits()))
        reading = time.perf_counter() - began
        Documents(Documents.Config(sources=[sys.argv[1]])).sources()
        after = peak()
        print(f"{len(found)} rows ({', '.join(type(f).__name__ for f in found)}), {reading:.1f} s, "
              f"{(after - before) / 1024:.0f} MiB above {before / 1024:.0f} MiB")
    """)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "line.jsonl")
        with path.open("wb") as file:
            file.write(b'{"text": "before"}\n{"text": "')
            for _ in range(1000):
                file.write(b"x" * 10**6)
            file.write(b'"}\n{"text": "after"}\n')
        said = subprocess.run(
            [sys.executable, "-c", script, str(path)], check=True, capture_output=True, text=True,
            env={**os.environ, "XDG_CACHE_HOME": folder},
        ).stdout.strip()  # fmt: skip
    print(said, flush=True)
    return said


def languages() -> str:
    """Accuracy over the 60 languages of FLORES, sentence by sentence."""
    from operators.corpus.language_identification import identify_languages

    table = pq.read_table(data() / "flores_dev" / "flores200_dev_60.parquet")
    right, total, took, wrong = 0, 0, 0.0, []
    identify_languages(["warm"])
    for name in table.column_names:
        texts = table.column(name).to_pylist()[:100]
        seconds, found = timed(lambda texts=texts: identify_languages(texts))
        hits = sum(each.language == name for each in found)
        right, total, took = right + hits, total + len(texts), took + seconds
        if hits < 0.9 * len(texts):
            wrong.append(f"{name} {hits / len(texts):.2f}")
    said = (
        f"{right / total:.3f} of {total} sentences in {len(table.column_names)} languages, "
        f"language and script; {total / took:.0f} a second; below .9: {', '.join(wrong) or 'none'}"
    )
    print(said, flush=True)
    return said


def measure() -> str:
    """The section of RESULTS.md."""
    books = chapters()
    some = books[:: len(books) // 100][:100]
    rows = [speed(some, "spaced", 3)[0], speed(some[:15], "tokens", 2)[0]]
    small = short_texts()
    agreed = [
        *agreement(books[::4], "spaced", "chapters"),
        *agreement(small, "spaced", "FLORES, UDHR"),
        *agreement(some[:20], "tokens", "chapters"),
        *agreement(small[:100], "tokens", "FLORES"),
    ]
    return (
        "`python -m benchmarks.parts.corpus`, one core\n\n" + TABLE + "\n".join(rows)
        + "\n\n| texts | words | rules | texts | we keep | datatrove keeps | same verdict |\n"
        "|---|---|---|---|---|---|---|\n" + "\n".join(agreed)
        + f"\n\nA JSON line of 1 GB between two others: {one_long_line()}.\n\n"
        f"Languages (py3langid): {languages()}."
    )  # fmt: skip


if __name__ == "__main__":
    print(measure())
