"""A sweep of 60 languages x 8 sizes x 3 algorithms x 2 pre-tokenizers, beside training each alone.

`python -m benchmarks.parts.sweep` prints it; the data lie in TOKENMILL_DATA. SentencePiece is
measured beside where it is installed (`pip install sentencepiece`).

Both sides begin with texts and end with tokenizers that can encode. CPU seconds are those of all
threads; `tokenizers` is told to use one, which spends the fewest. Every process has compiled, or
loaded, what it runs before its clock starts.

**Why WordPiece is of the BPE family.** `WordPieceTrainer` holds a `BpeTrainer`, runs it, and keeps
the vocabulary without the merges; so does ours, from the same training. That would be no saving if
the results differed, so every vocabulary of both algorithms is compared with the library's, id by
id, in the run that is timed. Who would count BPE alone finds its own row: nothing in it is shared
with WordPiece. Picky BPE and SuperBPE have no trainer in those libraries, and are left out.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from benchmarks import sentencepiece_peer
from benchmarks.results import TABLE, row
from benchmarks.tokenizer_peers import (
    END_OF_TEXT,
    LONGEST_PIECE,
    books,
    cpu_seconds,
    flores,
    train_with_library,
)
from operators.tokenization.byte_alphabet import to_characters
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.laboratory import count_for, train_models, train_tokenizers
from operators.tokenization.pretokenization import PretokenCounts, count_pretokens
from operators.tokenization.tokenizer import Tokenizer

SIZES = (512, 768, 1024, 1536, 2048, 3072, 4096, 6144)
PRETOKENIZERS = ("gpt2", "gpt4")
FAMILY = ("bpe", "wordpiece")
ALGORITHMS = (*FAMILY, "unigram")
# Every language is swept; the libraries train these, of many scripts and lengths, one by one.
BESIDE = ("eng_Latn", "fin_Latn", "rus_Cyrl", "hin_Deva", "zho_Hans", "mya_Mymr")
PROCESSES = 2

HELD_OUT = 197
HELD_OUT_SIZES = (512, 1536, 4096)

# What methods.md calls B1: languages, megabytes for each, and sizes from 8,192 to 262,144.
LANGUAGES, MEGABYTES = 97, 300
STUDY_SIZES = (8_192, 16_384, 32_768, 65_536, 131_072, 262_144)
SAMPLES = (5, 20)

# The library limits pieces of Unigram, but no token of WordPiece.
_NO_LIMIT = 1 << 20


def configs(
    algorithms: Sequence[str], sizes: Sequence[int] = SIZES, names: Sequence[str] = PRETOKENIZERS
) -> list[TokenizerConfig]:
    return [
        TokenizerConfig(
            algorithm=algorithm,  # type: ignore[arg-type]
            vocab_size=size,
            pretokenizer=name,
            max_token_bytes=LONGEST_PIECE if algorithm == "unigram" else _NO_LIMIT,
        )
        for name in names
        for algorithm in algorithms
        for size in sizes
    ]


def sweep(texts: Sequence[str]) -> dict[str, float]:
    """CPU seconds of one language by what took them; how many ended below the size asked for."""
    asked = configs(ALGORITHMS)
    counting, counts = cpu_seconds(lambda: count_for(texts, asked))
    spent = {"counting": counting, "short": 0.0}
    for name, algorithms in (("family", FAMILY), ("unigram", ("unigram",))):
        these = configs(algorithms)
        spent[name], made = cpu_seconds(lambda c=these: train_tokenizers(counts, c))
        spent["short"] += sum(
            tokenizer.vocab_size < config.vocab_size
            for tokenizer, config in zip(made, these, strict=True)
        )
    return spent


def warm() -> None:
    texts = ["a word and another word, a word"] * 3
    asked = [config for config in configs(ALGORITHMS) if config.vocab_size == SIZES[0]]
    for tokenizer in train_tokenizers(count_for(texts, asked), asked):
        tokenizer.encode(texts[0])


def whole(languages: dict[str, list[str]]) -> tuple[float, list[dict[str, float]]]:
    """Seconds by the clock for all languages on two processes, and what each language took."""
    context = get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, mp_context=context, initializer=warm) as pool:
        list(pool.map(time.sleep, [0.5] * PROCESSES))  # both are there and warm
        began = time.perf_counter()
        spent = list(pool.map(sweep, languages.values()))
        return time.perf_counter() - began, spent


def told(languages: dict[str, list[str]]) -> str:
    """The whole sweep in words."""
    clock, spent = whole(languages)
    count = len(languages) * len(configs(ALGORITHMS))
    parts = {name: sum(s[name] for s in spent) for name in ("counting", "family", "unigram")}
    cpu = sum(parts.values())
    median = statistics.median(s["counting"] + s["family"] + s["unigram"] for s in spent)
    short = round(sum(s["short"] for s in spent))
    text = (
        f"{count:,} tokenizers ({len(languages)} languages, sizes {', '.join(map(str, SIZES))}, "
        f"{', '.join(ALGORITHMS)}, pre-tokenizers {', '.join(PRETOKENIZERS)}) in {clock:.0f} s on "
        f"{PROCESSES} processes: {cpu:.0f} CPU s, {1e3 * cpu / count:.1f} ms each (counting "
        f"{parts['counting']:.0f} s, BPE and WordPiece {parts['family']:.0f} s, Unigram "
        f"{parts['unigram']:.0f} s; a language {median:.1f} s, median). {short:,} ended below "
        "the size asked for: their text has no more to learn."
    )
    print(text, flush=True)
    return text


def alone(texts: Sequence[str], algorithm: str) -> tuple[float, list[list[str]]]:
    """CPU seconds of `tokenizers`, each from the texts, and the vocabularies in order."""
    spent, vocabularies = 0.0, []
    for config in configs((algorithm,)):
        seconds, made = cpu_seconds(
            lambda c=config: train_with_library(texts, c.algorithm, c.vocab_size, c.pretokenizer)
        )
        spent += seconds
        vocabulary = made.get_vocab()
        vocabularies.append(sorted(vocabulary, key=vocabulary.__getitem__))
    return spent, vocabularies


def alone_with_sentencepiece(counts: Sequence[PretokenCounts]) -> float:
    """CPU seconds of SentencePiece's Unigram, from counted pretokens."""
    spent = 0.0
    for each in counts:
        for size in SIZES:
            seconds, _ = cpu_seconds(
                lambda c=each, s=size: sentencepiece_peer.train_sentencepiece(c, s)
            )
            spent += seconds
    return spent


def beside(languages: dict[str, list[str]]) -> tuple[list[str], int]:
    """Rows, ours and the libraries' in turn, a language a pair; vocabularies that were equal."""
    rows = (
        ("a BPE tokenizer", ("bpe",), False),
        ("a tokenizer of the BPE family", FAMILY, False),
        ("a Unigram tokenizer", ("unigram",), False),
        ("a Unigram tokenizer", ("unigram",), True),
        ("a tokenizer, all algorithms", ALGORITHMS, False),
        ("a tokenizer, all algorithms", ALGORITHMS, True),
    )
    ours: dict[tuple[str, ...], list[float]] = {chosen: [] for _, chosen, _ in rows}
    theirs: dict[str, list[float]] = {name: [] for name in (*ALGORITHMS, "sentencepiece")}
    equal = 0
    for language in BESIDE:
        texts = languages[language]
        for chosen, times in ours.items():
            asked = configs(chosen)
            seconds, made = cpu_seconds(
                lambda t=texts, a=asked: train_tokenizers(count_for(t, a), a)
            )
            times.append(1e3 * seconds / len(asked))
            if chosen == FAMILY:
                family = dict(zip(asked, made, strict=True))
        for algorithm in ALGORITHMS:
            seconds, vocabularies = alone(texts, algorithm)
            theirs[algorithm].append(1e3 * seconds / len(vocabularies))
            if algorithm in FAMILY:
                for config, names in zip(configs((algorithm,)), vocabularies, strict=True):
                    tokens = map(to_characters, family[config].tokens[1:])
                    assert [END_OF_TEXT, *tokens] == names, f"{language}: other tokens, {config}"
                    equal += 1
        if sentencepiece_peer.is_installed():
            counts = count_for(texts, configs(("unigram",)))
            seconds = alone_with_sentencepiece(counts)
            theirs["sentencepiece"].append(1e3 * seconds / len(configs(("unigram",))))
        print(language, {n: v[-1] for n, v in (ours | theirs).items() if v}, flush=True)
    lines = []
    for name, chosen, with_sentencepiece in rows:
        if with_sentencepiece and not theirs["sentencepiece"]:
            continue
        columns = [
            theirs["sentencepiece" if with_sentencepiece and each == "unigram" else each]
            for each in chosen
        ]
        other = "sentencepiece" if with_sentencepiece else "tokenizers"
        if with_sentencepiece and len(chosen) > 1:
            other = "tokenizers, Unigram by sentencepiece"
        means = [statistics.mean(each) for each in zip(*columns, strict=True)]
        lines.append(row(name, ours[chosen], f"{other}, each alone", means, "CPU ms"))
    return lines, equal


def held_out(languages: dict[str, list[str]]) -> list[str]:
    """Tokens of text that was not trained on: ours over the libraries', Unigram."""
    lines = []
    for name in BESIDE:
        train, test = languages[name][:-HELD_OUT], languages[name][-HELD_OUT:]
        asked = configs(("unigram",), HELD_OUT_SIZES, ("gpt2",))
        counts = count_for(train, asked)
        held = count_pretokens(test, "gpt2")
        cells: dict[str, list[str]] = {"tokenizers": [], "sentencepiece": []}
        for config, model in zip(asked, train_models(counts, asked), strict=True):
            ours = len(Tokenizer(model).encode_arrays(test).ids)
            library = train_with_library(train, "unigram", config.vocab_size)
            theirs = sum(len(encoding.ids) for encoding in library.encode_batch(test))
            cells["tokenizers"].append(f"{ours / theirs:.4f}")
            if sentencepiece_peer.is_installed():
                other = sentencepiece_peer.train_sentencepiece(counts[0], config.vocab_size)
                tokens = sentencepiece_peer.tokens_of(other, held)
                cells["sentencepiece"].append(f"{ours / tokens:.4f}")
        for peer, ratios in cells.items():
            if ratios:
                lines.append(f"| {name} | {peer} | {' | '.join(ratios)} |")
                print(lines[-1], flush=True)
    return lines


def projection() -> str:
    """What the study of 97 languages would cost, from two samples of English."""
    spent: dict[str, list[float]] = {"counting": [], "bpe": [], "unigram": [], "pretokens": []}
    megabytes = []
    for sample in SAMPLES:
        texts = books(sample)
        megabytes.append(sum(len(text.encode()) for text in texts) / 1e6)
        asked = configs(("bpe", "unigram"), STUDY_SIZES, ("gpt2",))
        seconds, counts = cpu_seconds(lambda t=texts, a=asked: count_for(t, a))
        spent["counting"].append(seconds)
        spent["pretokens"].append(len(counts[0]))
        for name in ("bpe", "unigram"):
            wanted = configs((name,), STUDY_SIZES, ("gpt2",))
            seconds, _ = cpu_seconds(lambda c=counts, w=wanted: train_tokenizers(c, w))
            spent[name].append(seconds)
        print(sample, {name: values[-1] for name, values in spent.items()}, flush=True)
    lines, total = [], 0.0
    for name, (small, large) in spent.items():
        power = math.log(large / small) / math.log(megabytes[1] / megabytes[0])
        at_study = large * (MEGABYTES / megabytes[1]) ** power
        unit = "" if name == "pretokens" else " s"
        total += 0 if name == "pretokens" else at_study
        lines.append(
            f"| {name} | {small:,.3g}{unit} | {large:,.3g}{unit} | {power:.2f} | "
            f"{at_study:,.4g}{unit} |"
        )
    made = len(STUDY_SIZES) * 2
    hours = LANGUAGES * total / 3600
    return (
        f"Projection. A language of {MEGABYTES} MB with {len(STUDY_SIZES)} sizes (8,192 to "
        f"262,144) of BPE and Unigram, {made} tokenizers in all, from samples of English books; "
        f"seconds of one core at {MEGABYTES} MB are those at {megabytes[1]:.0f} MB times "
        f"({MEGABYTES}/{megabytes[1]:.0f})^power, the power being that between the samples.\n\n"
        f"| what | {megabytes[0]:.0f} MB | {megabytes[1]:.0f} MB | power | {MEGABYTES} MB |\n"
        "|---|---|---|---|---|\n" + "\n".join(lines) + f"\n\nTogether {total:,.0f} s a language "
        f"and pre-tokenizer; {LANGUAGES} languages: {LANGUAGES} x {total:,.0f} s = {hours:.1f} "
        f"core hours for {LANGUAGES * made:,} tokenizers, {hours / 16:.1f} hours on 16 cores. "
        f"7,000 tokenizers are {7000 / (LANGUAGES * made):.1f} times that: "
        f"{hours / 16 * 7000 / (LANGUAGES * made):.1f} hours on 16 cores. Languages that do not "
        "put spaces between words have more and longer pretokens, and cost more."
    )


def measure() -> str:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    languages = flores()
    warm()
    first = told(languages)
    rows, equal = beside(languages)
    columns = len(HELD_OUT_SIZES)
    return (
        first
        + "\n\nBeside the libraries, which train each tokenizer by itself: a pair a language ("
        + ", ".join(BESIDE)
        + f"). All {equal} vocabularies of BPE and WordPiece are those of `tokenizers`, id by id."
        + "\n\n"
        + TABLE
        + "\n".join(rows)
        + f"\n\nTokens of {HELD_OUT} sentences that were not trained on, Unigram, ours over the "
        "library's:\n\n| language | beside | "
        + " | ".join(map(str, HELD_OUT_SIZES))
        + " |\n|---|---|"
        + "---|" * columns
        + "\n"
        + "\n".join(held_out(languages))
        + "\n\n"
        + projection()
    )


if __name__ == "__main__":
    print(measure())
