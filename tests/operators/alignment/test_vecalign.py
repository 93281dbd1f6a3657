"""Alignment by vectors: the numbers of the method, oracles, vectors that are missing."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.alignment import Bead, align_sentences
from operators.alignment.vecalign import _normalisers, _skip_cost, bead_cost

Array = np.ndarray


def vectors(size: int, seed: int = 0, dimensions: int = 48) -> Array:
    return np.random.default_rng(seed).standard_normal((size, dimensions))


def align(source: Array, target: Array, **settings: object) -> list[Bead]:
    texts = [""] * source.shape[-2], [""] * target.shape[-2]
    return align_sentences(
        *texts, method="embedding", source_vectors=source, target_vectors=target, **settings
    )  # type: ignore[arg-type]


def ids(beads: Sequence[Bead]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return [(bead.source, bead.target) for bead in beads]


def test_the_cost_of_a_bead_is_that_of_the_paper() -> None:
    assert bead_cost(0.8, 0.7, 0.9) == pytest.approx(0.25, abs=1e-6)
    assert bead_cost(0.8, 0.7, 0.9, source=1, target=2) == pytest.approx(0.50, abs=1e-6)


@pytest.mark.parametrize("size", [0, 1, 2, 30, 700])
def test_identical_documents_give_the_identity(size: int) -> None:
    x = vectors(size)
    assert ids(align(x, x)) == [((i,), (i,)) for i in range(size)]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 9), st.integers(0, 9), st.integers(2, 6), st.integers(0, 5))
def test_every_sentence_is_in_one_bead_and_beads_are_in_order(
    n: int, m: int, most: int, seed: int
) -> None:
    beads = align(vectors(n, seed), vectors(m, seed + 1), max_bead=most)
    assert [i for bead in beads for i in bead.source] == list(range(n))
    assert [j for bead in beads for j in bead.target] == list(range(m))
    assert all(len(b.source) + len(b.target) <= most for b in beads)


def test_sentences_divided_otherwise_are_found() -> None:
    x = vectors(60)
    y = np.concatenate([x[:20], [x[20] + x[21]], x[22:]])
    wanted = [((i,), (i,)) for i in range(20)] + [((20, 21), (20,))]
    assert ids(align(x, y)) == wanted + [((i + 1,), (i,)) for i in range(21, 59)]


@pytest.mark.parametrize("most", [2, 4, 8])
def test_sentences_left_out_stay_alone(most: int) -> None:
    x = vectors(60)
    found = align(x, np.concatenate([x[:40], x[45:]]), max_bead=most)
    alone = [bead for bead in found if not bead.target]
    assert ids(alone) == [((i,), ()) for i in range(40, 45)]
    assert [bead.score for bead in alone] == [0.0] * 5


def test_the_score_is_the_cost_over_the_product() -> None:
    x = vectors(40)
    y = np.concatenate([x[:20], [x[20] + x[21]], x[22:]])
    scores = {(b.source, b.target): b.score for b in align(x, y)}
    # The vector of both is the sum of vectors of other lengths than 1: the cosine is not quite 1.
    assert scores[(20, 21), (20,)] == pytest.approx(0, abs=0.05)
    assert scores[(0,), (0,)] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(("most", "dimensions"), [(2, 48), (2, 256), (4, 48), (4, 256), (8, 256)])
def test_a_last_third_that_is_missing_is_left_alone(most: int, dimensions: int) -> None:
    x = vectors(900, dimensions=dimensions)
    noise = vectors(600, seed=2, dimensions=dimensions)
    beads = ids(align(x, x[:600] + 0.3 * noise, max_bead=most))
    assert beads[:600] == [((i,), (i,)) for i in range(600)]
    assert all(not target for _, target in beads[600:])


def test_vectors_of_blocks_are_used_where_they_are_given() -> None:
    x = vectors(12)
    joined = vectors(1, seed=5)[0]  # what an encoder says of sentences 3 and 4 together
    y = np.concatenate([x[:3], [joined], x[5:]])
    blocks = np.zeros((3, 12, x.shape[1]))
    blocks[0] = x
    for k in (2, 3):
        for i in range(13 - k):
            blocks[k - 1, i] = x[i : i + k].sum(axis=0)
    blocks[1, 3] = joined
    y_blocks = np.zeros((3, 11, x.shape[1]))
    for k in (1, 2, 3):
        for i in range(12 - k):
            y_blocks[k - 1, i] = y[i : i + k].sum(axis=0)
    with_blocks, without = (
        {(b.source, b.target): b.score for b in beads}
        for beads in (align(blocks, y_blocks), align(x, y))
    )
    assert with_blocks[(3, 4), (3,)] == pytest.approx(0, abs=1e-4)
    assert without.get(((3, 4), (3,)), 1.0) > 0.5


def test_an_encoder_is_asked_once_for_all_blocks() -> None:
    asked: list[Sequence[str]] = []

    def encode(texts: Sequence[str]) -> Array:
        asked.append(texts)
        return np.array([
            np.sum([vectors(1, seed=sum(word.encode()))[0] for word in text.split()], axis=0)
            for text in texts
        ])  # fmt: skip

    source = ["ab", "cde", "", "fg hi"]
    beads = align_sentences(
        source, ["ab cde", "", "fg hi"], method="embedding",
        source_vectors=encode, target_vectors=encode,
    )  # fmt: skip
    assert ids(beads) == [((0, 1), (0,)), ((2,), (1,)), ((3,), (2,))]
    assert len(asked) == 2
    assert set(asked[0]) == {
        "ab", "cde", "BLANK_LINE", "fg hi", "ab cde", "cde BLANK_LINE", "BLANK_LINE fg hi",
        "ab cde BLANK_LINE", "cde BLANK_LINE fg hi",
    }  # fmt: skip


def test_normalisers_and_the_cost_of_a_skip_are_what_the_paper_says() -> None:
    x, y = (v / np.linalg.norm(v, axis=-1, keepdims=True)
            for v in (vectors(50, 1)[None], vectors(70, 2)[None]))  # fmt: skip
    generator = np.random.default_rng(0)
    n_x, n_y = _normalisers(x, y, generator), _normalisers(y, x, generator)
    assert n_x[0] == pytest.approx(1 - (x[0] @ y[0].T).mean(axis=1), abs=0.08)
    costs = 2 * (1 - x[0] @ y[0].T) / (1e-6 + n_x[0][:, None] + n_y[0][None])
    assert _skip_cost(x, y, n_x, n_y, generator) == pytest.approx(np.quantile(costs, 0.2))


def test_the_seed_decides_the_samples_and_nothing_else_does() -> None:
    x, y = vectors(300, 1), vectors(310, 2)
    assert align(x, y) == align(x, y, seed=0)


def test_vectors_that_are_missing_or_make_no_sense_are_refused() -> None:
    x = vectors(4)
    for wrong, message in (
        (vectors(3), "3 vectors, but there are 4"),
        (np.zeros((4, 48)), "from 0 on is zero or not finite"),
        (np.full((4, 48), np.nan), "not finite"),
        (np.stack([x, x]), "blocks of up to 2 sentences, but beads need blocks of up to 3"),
        (np.stack([x, x, np.zeros_like(x)]), "of 3 sentence"),
        (vectors(4, dimensions=5), "48 dimensions and target_vectors 5|5 dimensions"),
        (x[0], "has the shape"),
    ):
        with pytest.raises(ValueError, match=message):
            align_sentences([""] * 4, [""] * 4, method="embedding",
                            source_vectors=wrong, target_vectors=x)  # fmt: skip
    with pytest.raises(ValueError, match="needs source_vectors"):
        align_sentences([""], [""], method="embedding")
    with pytest.raises(ValueError, match="vectors are for"):
        align_sentences([""], [""], source_vectors=x[:1])
    with pytest.raises(ValueError, match="ratio is for"):
        align_sentences([""], [""], ratio=1.0)
    with pytest.raises(ValueError, match="max_bead"):
        align(x, x, max_bead=1)
    with pytest.raises(ValueError, match="array of shape"):
        align_sentences(["a"], ["a"], method="embedding",
                        source_vectors=lambda texts: np.ones(3), target_vectors=x[:1])  # fmt: skip
