"""A sweep of 60 languages x 8 sizes x 3 algorithms x 2 pre-tokenizers, beside training each alone.

`python -m benchmarks.parts.sweep` prints it; the data lie in TOKENMILL_DATA. Both sides begin with
texts and end with tokenizers that can encode. CPU seconds are those of all threads; every process
has compiled, or loaded, what it runs before its clock starts.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from benchmarks.results import TABLE, row
from benchmarks.tokenizer_peers import LONGEST_PIECE, books, cpu_seconds, flores, train_with_library
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.laboratory import count_for, train_models, train_tokenizers
from operators.tokenization.tokenizer import Tokenizer

SIZES = (512, 768, 1024, 1536, 2048, 3072, 4096, 6144)
PRETOKENIZERS = ("gpt2", "gpt4")
BPE_FAMILY = ("bpe", "wordpiece")
ALGORITHMS = (*BPE_FAMILY, "unigram")
# Every language is swept; the library trains these, of many scripts and lengths, one by one.
BESIDE = ("eng_Latn", "fin_Latn", "rus_Cyrl", "hin_Deva", "zho_Hans", "mya_Mymr")
PROCESSES = 2

HELD_OUT = 197
HELD_OUT_SIZES = (512, 1536, 4096)

# What methods.md calls B1: languages, megabytes for each, and sizes from 8,192 to 262,144.
LANGUAGES, MEGABYTES = 97, 300
STUDY_SIZES = (8_192, 16_384, 32_768, 65_536, 131_072, 262_144)
SAMPLES = (5, 20)


def configs(
    algorithms: Sequence[str], sizes: Sequence[int] = SIZES, names: Sequence[str] = PRETOKENIZERS
) -> list[TokenizerConfig]:
    return [
        TokenizerConfig(
            algorithm=algorithm,  # type: ignore[arg-type]
            vocab_size=size,
            pretokenizer=name,
            max_token_bytes=LONGEST_PIECE,
        )
        for name in names
        for algorithm in algorithms
        for size in sizes
    ]


def sweep(texts: Sequence[str]) -> dict[str, float]:
    """CPU seconds of one language by what took them, and the tokens of its largest vocabularies."""
    asked = configs(ALGORITHMS)
    counting, counts = cpu_seconds(lambda: count_for(texts, asked))
    family, made = cpu_seconds(lambda: train_tokenizers(counts, configs(BPE_FAMILY)))
    unigram, others = cpu_seconds(lambda: train_tokenizers(counts, configs(("unigram",))))
    sizes = [tokenizer.vocab_size for tokenizer in (*made, *others)]
    short = sum(s < c.vocab_size for s, c in zip(sizes, [*configs(BPE_FAMILY), *configs(
        ("unigram",))], strict=True))  # fmt: skip
    return {"counting": counting, "family": family, "unigram": unigram, "short": short}


def alone(texts: Sequence[str]) -> dict[str, float]:
    """CPU seconds of the library, each tokenizer from the texts."""
    spent = {"family": 0.0, "unigram": 0.0}
    for config in configs(ALGORITHMS):
        seconds, _ = cpu_seconds(
            lambda c=config: train_with_library(texts, c.algorithm, c.vocab_size, c.pretokenizer)
        )
        spent["unigram" if config.algorithm == "unigram" else "family"] += seconds
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


def beside(languages: dict[str, list[str]]) -> list[str]:
    """Rows: ours and the library in turn, a language a pair."""
    family, everything = len(BPE_FAMILY), len(ALGORITHMS)
    each = len(SIZES) * len(PRETOKENIZERS)
    times: dict[str, list[float]] = {name: [] for name in ("family", "family'", "all", "all'")}
    for name in BESIDE:
        ours, theirs = sweep(languages[name]), alone(languages[name])
        # Counting is paid by the BPE family in full, though Unigram reads the same counts.
        times["family"].append((ours["counting"] + ours["family"]) / (family * each))
        times["family'"].append(theirs["family"] / (family * each))
        total = ours["counting"] + ours["family"] + ours["unigram"]
        times["all"].append(total / (everything * each))
        times["all'"].append((theirs["family"] + theirs["unigram"]) / (everything * each))
        print(name, ours, theirs, flush=True)
    milli = {name: [1e3 * value for value in values] for name, values in times.items()}
    return [
        row("a tokenizer of the BPE family", milli["family"], "tokenizers, each alone",
            milli["family'"], "CPU ms"),
        row("a tokenizer, all algorithms", milli["all"], "tokenizers, each alone",
            milli["all'"], "CPU ms"),
    ]  # fmt: skip


def held_out(languages: dict[str, list[str]]) -> list[str]:
    """Tokens of text that was not trained on: ours over the library's, Unigram."""
    lines = []
    for name in BESIDE:
        train, test = languages[name][:-HELD_OUT], languages[name][-HELD_OUT:]
        asked = configs(("unigram",), HELD_OUT_SIZES, ("gpt2",))
        cells = []
        for config, model in zip(asked, train_models(count_for(train, asked), asked), strict=True):
            ours = len(Tokenizer(model).encode_arrays(test).ids)
            library = train_with_library(train, "unigram", config.vocab_size)
            theirs = sum(len(encoding.ids) for encoding in library.encode_batch(test))
            cells.append(f"{ours / theirs:.4f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


def projection() -> str:
    """What the study of 97 languages would cost, from two samples of English."""
    sizes = {"bpe": list(STUDY_SIZES), "unigram": list(STUDY_SIZES)}
    spent: dict[str, list[float]] = {"counting": [], "bpe": [], "unigram": [], "pretokens": []}
    megabytes = []
    for sample in SAMPLES:
        texts = books(sample)
        megabytes.append(sum(len(text.encode()) for text in texts) / 1e6)
        asked = configs(("bpe", "unigram"), STUDY_SIZES, ("gpt2",))
        seconds, counts = cpu_seconds(lambda t=texts, a=asked: count_for(t, a))
        spent["counting"].append(seconds)
        spent["pretokens"].append(len(counts[0]))
        for name, these in sizes.items():
            wanted = configs((name,), these, ("gpt2",))
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
    languages = flores()
    warm()
    clock, spent = whole(languages)
    count = len(languages) * len(configs(ALGORITHMS))
    cpu = sum(s["counting"] + s["family"] + s["unigram"] for s in spent)
    parts = {name: sum(s[name] for s in spent) for name in ("counting", "family", "unigram")}
    short = sum(s["short"] for s in spent)
    median = statistics.median(s["counting"] + s["family"] + s["unigram"] for s in spent)
    first = (
        f"{count:,} tokenizers ({len(languages)} languages, sizes {', '.join(map(str, SIZES))}, "
        f"{', '.join(ALGORITHMS)}, pre-tokenizers {', '.join(PRETOKENIZERS)}) in {clock:.0f} s on "
        f"{PROCESSES} processes: {cpu:.0f} CPU s, {1e3 * cpu / count:.1f} ms each (counting "
        f"{parts['counting']:.0f} s, BPE and WordPiece {parts['family']:.0f} s, Unigram "
        f"{parts['unigram']:.0f} s; a language {median:.1f} s, median). {short:,} ended below "
        "the size asked for: their text has no more to learn."
    )
    print(first, flush=True)
    return (
        first
        + "\n\nBeside `tokenizers`, which trains each from the texts, a pair a language ("
        + ", ".join(BESIDE)
        + "):\n\n"
        + TABLE
        + "\n".join(beside(languages))
        + f"\n\nTokens of {HELD_OUT} sentences that were not trained on, Unigram, ours over the "
        "library's:\n\n| language | "
        + " | ".join(map(str, HELD_OUT_SIZES))
        + " |\n|---|"
        + "---|" * len(HELD_OUT_SIZES)
        + "\n"
        + "\n".join(held_out(languages))
        + "\n\n"
        + projection()
    )


if __name__ == "__main__":
    print(measure())
