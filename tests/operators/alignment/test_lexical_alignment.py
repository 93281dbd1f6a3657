"""Alignment by a lexicon learnt on the way: gold alignments, texts with pieces missing, identity."""

import itertools
import json
import os
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.alignment import Bead, align_sentences, lexical_model, score_beads
from operators.alignment.numbered_texts import words_of

Links = list[tuple[tuple[int, ...], tuple[int, ...]]]


def ids(beads: Sequence[Bead]) -> Links:
    return [(bead.source, bead.target) for bead in beads]


def translated(size: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Sentences over 300 words, and the same over as many others, in another order of words."""
    draw = random.Random(seed)
    letters = "абвгдежзиклмнопрст"
    other = ["".join(draw.choice(letters) for _ in range(draw.randrange(2, 9))) for _ in range(300)]
    source, target = [], []
    for _ in range(size):
        words = [min(int(draw.paretovariate(0.6)), 299) for _ in range(draw.randrange(4, 25))]
        source.append(
            " ".join(f"w{''.join(chr(97 + int(d)) for d in str(w))}" for w in words) + "."
        )
        words.reverse()
        target.append(" ".join(other[w] for w in words) + ".")
    return source, target


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("ab 1.é漢", max_size=12), max_size=8))
def test_identical_documents_give_the_identity(sentences: list[str]) -> None:
    found = ids(align_sentences(sentences, sentences, method="lexical"))
    assert found == [((i,), (i,)) for i in range(len(sentences))]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.text("ab ", max_size=9), max_size=7),
    st.lists(st.text("bc ", max_size=9), max_size=7),
)
def test_every_sentence_is_in_one_bead_and_beads_are_in_order(
    source: list[str], target: list[str]
) -> None:
    beads = align_sentences(source, target, method="lexical")
    assert [i for bead in beads for i in bead.source] == list(range(len(source)))
    assert [j for bead in beads for j in bead.target] == list(range(len(target)))
    assert all((len(b.source), len(b.target)) in lexical_model.MOVES for b in beads)
    assert all(np.isfinite(bead.score) for bead in beads)


def test_sentences_that_nobody_translated_stay_alone() -> None:
    source, target = translated(120)
    extra, _ = translated(3, seed=9)
    mixed = [*source[:60], *extra, *source[60:]]
    found = ids(align_sentences(mixed, target, method="lexical"))
    wanted: Links = [((i,), (i,)) for i in range(60)]
    wanted += [((i,), ()) for i in (60, 61, 62)]
    wanted += [((i + 3,), (i,)) for i in range(60, 120)]
    assert score_beads([[Bead(*b) for b in found]], [[Bead(*b) for b in wanted]]).strict_f1 > 0.97


@pytest.mark.parametrize("blocks", [False, True])
def test_no_bead_reaches_over_the_cut_where_the_last_third_is_missing(
    blocks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 150
    if blocks:
        size = 360
        monkeypatch.setattr(lexical_model, "_WHOLE", 40_000)
    source, target = translated(size)
    cut = size * 2 // 3
    for left, right, mirrored in ((source, target[:cut], False), (source[:cut], target, True)):
        beads = align_sentences(left, right, method="lexical")
        beyond = [b for b in beads if any(i >= cut for i in (b.target if mirrored else b.source))]
        assert len(beyond) == size - cut
        assert all(not (b.source and b.target) for b in beyond)


@pytest.mark.parametrize("language", ["fra_Latn", "jpn_Jpan", "hin_Deva"])
def test_no_bead_of_real_texts_reaches_over_the_cut(language: str) -> None:
    if "TOKENMILL_DATA" not in os.environ:
        pytest.skip("TOKENMILL_DATA is not set: it names the folder with FLORES")
    path = Path(os.environ["TOKENMILL_DATA"], "flores_dev", "flores200_dev_60.parquet")
    rows = pq.read_table(path, columns=["eng_Latn", language]).to_pydict()
    beads = align_sentences(rows["eng_Latn"][:150], rows[language][:100], method="lexical")
    assert all(not bead.target for bead in beads if bead.source and bead.source[-1] >= 100)


def test_sentences_divided_otherwise_are_found_up_to_four() -> None:
    source, target = translated(200, seed=3)
    joined = [*source[:50], " ".join(source[50:54]), *source[54:100], " ".join(source[100:103]),
              *source[103:]]  # fmt: skip
    found = ids(align_sentences(joined, target, method="lexical"))
    assert ((50,), (50, 51, 52, 53)) in found
    assert ((97,), (100, 101, 102)) in found


def test_blocks_first_gives_the_same_alignment(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = translated(300, seed=4)
    del target[100:130]
    whole = ids(align_sentences(source, target, method="lexical"))
    monkeypatch.setattr(lexical_model, "_WHOLE", 3000)  # two levels of blocks
    assert ids(align_sentences(source, target, method="lexical")) == whole


def test_the_same_texts_give_the_same_bytes() -> None:
    source, target = translated(80, seed=6)
    once, again = (align_sentences(source, target, method="lexical") for _ in range(2))
    assert once == again


def test_words_are_runs_of_letters_marks_and_digits_and_signs_stand_alone() -> None:
    assert words_of("L'Été 1956, n°7!") == ["l", "'", "été", "1956", ",", "n", "°", "7", "!"]
    assert words_of("हिन्दी में") == ["हिन्दी", "में"]
    assert words_of("水車は粉を。A4") == ["水車", "車は", "は粉", "粉を", "。", "a4"]


def test_a_pair_that_fits_is_cheaper_than_one_that_does_not() -> None:
    source, target = translated(100, seed=2)
    right = align_sentences(source, target, method="lexical")
    assert ids(right) == [((i,), (i,)) for i in range(100)]
    assert max(bead.score for bead in right) < 5
    assert np.median([bead.score for bead in right]) < -3


def gold_document(name: str) -> tuple[list[str], list[str], list[Bead]]:
    if "TOKENMILL_DATA" not in os.environ:
        pytest.skip("TOKENMILL_DATA is not set: it names the folder with gold alignments")
    stem = Path(os.environ["TOKENMILL_DATA"], "sentence_alignment", name)
    source, target, gold = (
        stem.with_suffix(suffix).read_text(encoding="utf-8").removesuffix("\n").split("\n")
        for suffix in (".src", ".tgt", ".gold")
    )
    sides = [[tuple(json.loads(side)) for side in line.split(":")] for line in gold]
    return source, target, list(itertools.starmap(Bead, sides))


@pytest.mark.parametrize(
    ("name", "strict", "lax"),
    [
        # hunalign -realign without a dictionary: .699 / .924 strict and lax.
        ("textberg_de-fr_dev/dev", 0.87, 0.98),
        ("maligna_pl-x/gpl", 0.98, 0.99),
        ("maligna_pl-x/poznan", 0.98, 0.99),
        ("maligna_pl-x/poznan-oracle", 0.98, 0.99),
        ("maligna_pl-x/stallman-ch1", 0.9, 0.98),
    ],
)
def test_gold_alignments_are_found_and_never_worse_than_by_length(
    name: str, strict: float, lax: float
) -> None:
    source, target, gold = gold_document(name)
    scores = score_beads([align_sentences(source, target, method="lexical")], [gold])
    lengths = score_beads([align_sentences(source, target, method="length")], [gold])
    print(f"{name}: strict F1 {scores.strict_f1:.3f}, lax F1 {scores.lax_f1:.3f}")
    assert scores.strict_f1 >= max(strict, lengths.strict_f1)
    assert scores.lax_f1 >= lax
