"""evaluation.fractal and evaluation.degeneration: measures of texts, in rows that pool."""

import math

import numpy as np
import pytest

from operators.evaluation.fractal import doubling, normalised, rescaled_range
from stages.evaluation_texts import Degeneration, Fractal
from stages.tokenizer_files import end_of_text_id, load_tokenizer

SETTINGS = {"drop": 4, "smallest": 8, "largest": 64, "smallest_step": 2, "epsilon": 0.5}


@pytest.fixture(scope="module")
def long_texts(documents, prose):
    return documents(
        {"a": prose(1, 60), "b": prose(2, 60), "short": "The cat.", "empty": ""}, shards=2
    )


@pytest.fixture(scope="module")
def fractal(run_stage, trained, long_texts):
    inputs = {"model": trained["model"], "documents": long_texts}
    return run_stage(Fractal, inputs, device="cpu", **SETTINGS)


def values(ran, group):
    return {(r["id"], r["metric"]): r["value"] for r in ran.rows() if r["group"] == group}


def test_the_hurst_exponent_of_a_document_is_that_of_its_surprisals(
    fractal, trained, tokenizer, long_texts
):
    from operators.modeling import load_model, score_documents

    tool = load_tokenizer(tokenizer)
    model = load_model(str(trained["model"].folder()), device="cpu")
    text = long_texts.table().to_pylist()[0]["text"]
    (nats,) = score_documents(
        model, [tool.encode(text)], context_length=16, stride=8, batch_size=4, device="cpu",
        bos_token_id=end_of_text_id(tool),
    )  # fmt: skip
    law = rescaled_range([normalised(nats, drop=4)], doubling(8, 64))
    found = values(fractal, "document")
    assert found["a", "hurst"] == pytest.approx(law.exponent, abs=1e-6)
    excess = found["a", "hurst"] - found["a", "hurst_shuffled"]
    assert found["a", "hurst_excess"] == pytest.approx(excess)


def test_all_documents_have_their_exponents_and_h_b(fractal):
    found = {metric: value for (_, metric), value in values(fractal, "all").items()}
    assert found["pooled_hurst_excess"] == pytest.approx(
        found["pooled_hurst"] - found["pooled_hurst_shuffled"]
    )
    expected = 1 / found["bits_per_byte_of_all"] + found["pooled_hurst"]
    assert found["h_b"] == pytest.approx(expected)
    for name, value in found.items():
        assert fractal.context.metrics[name] == value


def test_documents_that_are_too_short_are_counted_and_left_out(fractal):
    assert fractal.context.metrics["documents"] == 2
    assert fractal.context.metrics["documents_too_short"] == 2
    assert {id_ for id_, _ in values(fractal, "document")} == {"a", "b"}


def test_points_of_the_fits_are_told_and_drawn(fractal):
    points = values(fractal, "scale")
    assert ("hurst at 8", "hurst_points") in points
    assert ("hurst at 64", "hurst_points") in points
    assert fractal.context.figures["power_laws"].startswith(b"\x89PNG")


def test_neither_order_nor_shards_of_documents_matter(run_stage, trained, long_texts, fractal):
    table = long_texts.table()
    backwards = type(long_texts)("documents", [table.take([3, 2, 1, 0])])
    inputs = {"model": trained["model"], "documents": backwards}
    again = run_stage(Fractal, inputs, device="cpu", **SETTINGS)
    for group in ("all", "document", "scale"):
        assert values(again, group) == pytest.approx(values(fractal, group), rel=1e-4)


@pytest.mark.parametrize("texts", [{}, {"a": ""}, {"a": "The cat sat on the mat."}])
def test_without_a_document_that_is_long_enough_there_is_a_clear_error(
    run_stage, trained, documents, texts
):
    inputs = {"model": trained["model"], "documents": documents(texts)}
    with pytest.raises(ValueError, match=r"longest document has \d+ tokens"):
        run_stage(Fractal, inputs, device="cpu", smallest=64)


# Degeneration


def test_a_row_a_document_and_measure_and_metrics_that_pool_them(run_stage, documents):
    texts = {
        "loop": "we go on and on and on and on",
        "plain": {"text": "a cat sat on the mat", "language": "eng_Latn"},
        "copy": "a cat sat on the mat",
        "empty": "",
    }
    ran = run_stage(Degeneration, {"documents": documents(texts)}, ngrams=(1, 2), among=10)
    found = {(r["id"], r["metric"]): r for r in ran.rows()}
    assert found["loop", "rep_1"]["value"] == pytest.approx(5 / 9)
    assert found["loop", "rep_2"]["value"] == pytest.approx(4 / 8)
    assert found["loop", "rep_2"]["weight"] == 8
    assert found["loop", "longest_loop"]["value"] == 7  # "on and on and on and on"
    assert found["loop", "looped"]["value"] == pytest.approx(7 / 9)
    assert found["plain", "rep_1"]["value"] == 0
    assert found["plain", "duplicate"]["value"] == found["copy", "duplicate"]["value"] == 0.5
    assert found["empty", "duplicate"]["value"] == 0
    assert ("empty", "rep_1") not in found
    assert {r["group"] for (id_, _), r in found.items() if id_ == "plain"} == {"eng_Latn"}
    metrics = ran.context.metrics
    assert metrics["duplicate"] == 0.25
    assert metrics["rep_1"] == pytest.approx(5 / (9 + 6 + 6))
    assert metrics["looped"] == pytest.approx(7 / (9 + 6 + 6))
    assert metrics["distinct_1"] == found["all documents", "distinct_1"]["value"]


def test_measures_do_not_depend_on_the_order_of_documents(run_stage, documents, prose):
    texts = {str(n): prose(n % 5, 20) for n in range(8)}
    one = run_stage(Degeneration, {"documents": documents(texts)}, among=50)
    backwards = documents(dict(reversed(texts.items())), shards=3)
    other = run_stage(Degeneration, {"documents": backwards}, among=50)
    assert other.context.metrics == pytest.approx(one.context.metrics)
    key = {(r["id"], r["metric"]): r["value"] for r in one.rows()}
    assert {(r["id"], r["metric"]): r["value"] for r in other.rows()} == key


def test_characters_can_be_the_units(run_stage, documents):
    ran = run_stage(Degeneration, {"documents": documents({"x": "磨坊磨坊"})}, units="characters")
    found = {r["metric"]: r["value"] for r in ran.rows()}
    assert (found["units"], found["longest_loop"], found["rep_1"]) == (4, 4, 0.5)


def test_too_few_n_grams_give_no_distinct_n(run_stage, documents):
    ran = run_stage(Degeneration, {"documents": documents({"x": "a b c"})}, among=4)
    assert not any(row["metric"].startswith("distinct") for row in ran.rows())
    assert not any(math.isnan(row["value"]) for row in ran.rows())


def test_synthetic_text_of_few_words_is_less_distinct_and_repeats_more(run_stage, documents, prose):
    chance = np.random.default_rng(0)
    human = documents({str(n): prose(n, 60) for n in range(5)})
    poor = documents({str(n): " ".join(chance.choice(["the", "end"], 60)) for n in range(5)})
    metrics = [
        run_stage(Degeneration, {"documents": given}, among=100).context.metrics
        for given in (human, poor)
    ]
    assert metrics[0]["distinct_2"] > metrics[1]["distinct_2"]
    assert metrics[0]["rep_2"] < metrics[1]["rep_2"]


def test_no_documents_are_refused(run_stage, documents):
    with pytest.raises(ValueError, match="no documents to measure"):
        run_stage(Degeneration, {"documents": documents({})})


@pytest.mark.parametrize("ngrams", [(0,), (1, 1), ()])
def test_ngrams_that_cannot_be_are_refused(ngrams):
    with pytest.raises(ValueError, match="ngrams"):
        Degeneration.Config(ngrams=ngrams)
