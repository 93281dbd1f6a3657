"""Languages with known truths: what is made is right, and what is scored stands at its place."""

import math

import numpy as np
import pyarrow as pa
import pytest

from operators.evaluation.automata import Automaton, is_held_out, shape
from operators.evaluation.flip_flop import fault_of, read_positions, read_truths
from stages.evaluation import LanguageModel as Evaluate
from stages.evaluation_sequences import Automata as AutomataScores
from stages.evaluation_sequences import FlipFlop as FlipFlopScores
from stages.tasks_sequences import Automata, FlipFlop, Markov
from stages.tokenizer import Encode, Train
from stages.tokenizer_files import end_of_text_id, load_tokenizer
from stages.training import LanguageModel

FLIP_FLOP = {"count": 40, "pairs": 8, "reads": 30, "seed": 1}
AUTOMATA = {"count": 30, "heldout": 6, "strings": (3, 5), "lengths": (1, 9), "seed": 1}
MARKOV = {"count": 20, "heldout": 5, "length": 40, "seed": 1}


@pytest.fixture(scope="module")
def train(run_stage, tiny_model):
    """Train a tiny model, one byte a token, on documents."""

    def train(documents, vocab_size=257, **settings):
        tokenizer = run_stage(
            Train, {"documents": documents}, vocab_size=vocab_size, pretokenizer="none"
        )["tokenizer"]
        tokens = run_stage(
            Encode, {"documents": documents, "tokenizer": tokenizer}, sequence_length=16
        )["tokens"]
        inputs = {"tokens": tokens, "tokenizer": tokenizer}
        return run_stage(LanguageModel, inputs, **{**tiny_model, "steps": 10, **settings})["model"]

    return train


@pytest.fixture(scope="module")
def flip_flop(run_stage):
    return run_stage(FlipFlop, **FLIP_FLOP)


@pytest.fixture(scope="module")
def automata(run_stage):
    return run_stage(Automata, **AUTOMATA)


@pytest.fixture(scope="module")
def flip_flop_model(train, flip_flop):
    return train(flip_flop["documents"])


@pytest.fixture(scope="module")
def automata_model(train, automata):
    return train(automata["documents"])


@pytest.fixture(scope="module")
def flip_flop_scores(run_stage, flip_flop, flip_flop_model):
    inputs = {"model": flip_flop_model, "documents": flip_flop["heldout"]}
    return run_stage(FlipFlopScores, inputs, device="cpu")


@pytest.fixture(scope="module")
def automata_scores(run_stage, automata, automata_model):
    inputs = {"model": automata_model, "documents": automata["heldout"]}
    return run_stage(AutomataScores, inputs, device="cpu")


def pooled(ran, metric, group=None):
    rows = [r for r in ran.rows() if r["metric"] == metric and group in (None, r["group"])]
    return np.average([r["value"] for r in rows], weights=[r["weight"] for r in rows])


# Flip-flop


def test_flip_flop_texts_are_valid_and_each_tail_has_the_reads_that_were_asked(flip_flop):
    assert len(flip_flop.rows("documents")) == 40
    rows = flip_flop.rows("documents") + flip_flop.rows("heldout")
    assert all(fault_of(row["text"]) is None and len(row["text"]) == 16 for row in rows)
    for tail in ("trained", "sparse", "dense"):
        texts = [row["text"] for row in flip_flop.rows("heldout") if row["tail"] == tail]
        reads = [len(read_positions(text)) for text in texts]
        assert sum(reads) >= 30 > sum(reads[:-1])
        assert flip_flop.context.metrics[f"{tail}.reads"] == sum(reads)
    ids = [row["id"] for row in rows]
    assert len(set(ids)) == len(ids)


def test_no_training_text_is_held_out_and_where_there_are_no_others_it_says_so(run_stage):
    ran = run_stage(FlipFlop, count=50, pairs=4, reads=20, tails={"sparse": 0.98}, seed=0)
    training = {row["text"] for row in ran.rows("documents")}
    assert not training & {row["text"] for row in ran.rows("heldout")}
    # Of two pairs there are two texts, "w0r0" and "w1r1": none is left to train on.
    with pytest.raises(ValueError, match="too few different texts; give texts more pairs"):
        run_stage(FlipFlop, count=5, pairs=2, reads=50, seed=0)


@pytest.mark.parametrize(("share", "rare"), [(0.0, 0), (0.25, 10), (1.0, 40)])
def test_a_share_of_training_texts_is_rare_and_the_others_stay_as_they_are(
    run_stage, flip_flop, share, rare
):
    ran = run_stage(FlipFlop, rare_share=share, rare_ignore=1.0, **FLIP_FLOP)
    tails = [row["tail"] for row in ran.rows("documents")]
    assert tails.count("rare") == rare
    plain = {row["id"]: row["text"] for row in flip_flop.rows("documents")}
    for row in ran.rows("documents"):
        assert (row["tail"] == "rare") or plain[row["id"]] == row["text"]
        if row["tail"] == "rare":
            assert row["text"][2:-2:2] == "i" * 6
    assert ran.rows("heldout") == flip_flop.rows("heldout")


def test_more_training_texts_change_none_of_the_earlier_ones(run_stage, flip_flop):
    more = run_stage(FlipFlop, **{**FLIP_FLOP, "count": 60})
    assert more.rows("documents")[:40] == flip_flop.rows("documents")


def test_many_texts_lie_in_several_shards(run_stage):
    ran = run_stage(FlipFlop, count=1500, pairs=12, reads=1, seed=0)
    assert [shard.num_rows for shard in ran["documents"].shards] == [1024, 476]


@pytest.mark.parametrize(
    ("tails", "said"),
    [({}, "at least 1"), ({"a": 1.5}, "no probability"), ({"a b": 0.5}, "letters")],
)
def test_tails_that_cannot_be_are_refused(tails, said):
    with pytest.raises(ValueError, match=said):
        FlipFlop.Config(tails=tails)


def test_reads_are_scored_at_the_bit_behind_r(flip_flop, flip_flop_model, flip_flop_scores):
    """Against the losses of the texts themselves, and of the same texts with one bit changed."""
    from operators.modeling import load_model, score_documents

    model = load_model(str(flip_flop_model.folder()), device="cpu")
    tokenizer = load_tokenizer(flip_flop_model)
    rows = flip_flop.rows("heldout")[:4]
    for row in rows:
        text, errors, margins = row["text"], [], []
        for place, truth in zip(read_positions(row["text"]), read_truths(text), strict=True):
            changed = text[:place] + str(1 - truth) + text[place + 1 :]
            right, wrong = (
                losses[place]
                for losses in score_documents(
                    model, tokenizer.encode_batch([text, changed]), context_length=16, stride=8,
                    bos_token_id=end_of_text_id(tokenizer), batch_size=2, device="cpu",
                )
            )  # fmt: skip
            errors.append(wrong <= right)
            margins.append(wrong - right)
        found = {r["metric"]: r for r in flip_flop_scores.rows() if r["id"] == row["id"]}
        assert found["read_error_binary"]["value"] == pytest.approx(np.mean(errors))
        assert found["margin"]["value"] == pytest.approx(np.mean(margins), abs=1e-5)
        assert found["read_error"]["value"] >= found["read_error_binary"]["value"]
        assert {r["weight"] for r in found.values()} == {len(errors)}
        assert {r["group"] for r in found.values()} == {row["tail"]}


def test_metrics_by_tail_are_the_rows_pooled_and_baselines_stand_beside_them(flip_flop_scores):
    metrics = flip_flop_scores.context.metrics
    for tail in ("trained", "sparse", "dense"):
        for metric in ("read_error", "read_error_binary", "read_error_copied", "margin"):
            expected = pooled(flip_flop_scores, metric, tail)
            assert metrics[f"{tail}.{metric}"] == pytest.approx(expected)
        assert 0 <= metrics[f"{tail}.read_error_constant"] <= 0.5
    assert metrics["read_error"] == pytest.approx(pooled(flip_flop_scores, "read_error"))


def test_texts_that_are_no_flip_flop_are_refused(run_stage, flip_flop_model, documents):
    inputs = {"model": flip_flop_model, "documents": documents({"x": "w0r1"})}
    with pytest.raises(ValueError, match='text of "x" is no flip-flop text: the bit at position 3'):
        run_stage(FlipFlopScores, inputs, device="cpu")


def test_no_texts_are_refused(run_stage, flip_flop_model, documents):
    inputs = {"model": flip_flop_model, "documents": documents({})}
    with pytest.raises(ValueError, match="no flip-flop texts to score"):
        run_stage(FlipFlopScores, inputs, device="cpu")


def test_documents_without_a_tail_are_one_group(run_stage, flip_flop_model, documents):
    inputs = {"model": flip_flop_model, "documents": documents({"x": "w0i1i0r0w1i0r1"})}
    ran = run_stage(FlipFlopScores, inputs, device="cpu")
    assert {row["group"] for row in ran.rows()} == {"all"}
    assert {row["weight"] for row in ran.rows()} == {2.0}


def test_a_tokenizer_that_joins_symbols_is_refused(run_stage, train, flip_flop):
    model = train(flip_flop["documents"], vocab_size=270)
    inputs = {"model": model, "documents": flip_flop["heldout"]}
    with pytest.raises(ValueError, match="a token is no symbol: train one with"):
        run_stage(FlipFlopScores, inputs, device="cpu")


# Automata


def test_documents_hold_strings_of_their_automaton_and_held_out_ones_no_training_shape(automata):
    sides = {}
    for side in ("documents", "heldout"):
        rows = automata.rows(side)
        made = [Automaton.from_json(row["automaton"]) for row in rows]
        for row, automaton in zip(rows, made, strict=True):
            for string in row["text"].split("|"):
                automaton.states_before(string)
        sides[side] = {shape(automaton) for automaton in made}
        assert all(is_held_out(s) == (side == "heldout") for s in sides[side])
    assert (len(automata.rows("documents")), len(automata.rows("heldout"))) == (30, 6)
    assert not sides["documents"] & sides["heldout"]


def test_a_model_and_its_baselines_are_scored_by_document(automata, automata_scores):
    rows = automata_scores.rows()
    metrics = {row["metric"] for row in rows}
    assert metrics == {
        f"{metric}{who}" for metric in ("accuracy", "tvd")
        for who in ("", "_2_gram", "_3_gram", "_uniform")
    }  # fmt: skip
    assert all(0 <= row["value"] <= 1 for row in rows)
    weights = {row["id"]: row["weight"] for row in rows}
    for row in automata.rows("heldout"):
        assert weights[row["id"]] == len(row["text"].replace("|", "")) - 1
    for metric in metrics:
        assert automata_scores.context.metrics[metric] == pytest.approx(
            pooled(automata_scores, metric)
        )
    assert {row["group"].split()[1] for row in rows} == {"states"}


def test_the_distance_is_to_what_the_model_says_given_that_the_string_goes_on(
    run_stage, automata, automata_model, automata_scores
):
    import torch

    from operators.modeling import load_model

    row = min(automata.rows("heldout"), key=lambda row: len(row["text"]))
    text, automaton = row["text"][:12], Automaton.from_json(row["automaton"])
    model = load_model(str(automata_model.folder()), device="cpu")
    tokenizer = load_tokenizer(automata_model)
    end = end_of_text_id(tokenizer)
    with torch.no_grad():
        logits = model(torch.tensor([[end, *tokenizer.encode(text)]])).logits[0].double()
    distances, legals = [], []
    state = 0
    for place, symbol in enumerate(text):
        if symbol == "|":
            state = 0
            continue
        p = logits[place].clone()
        p[[end, tokenizer.encode("|")[0]]] = -math.inf
        p = p.softmax(-1).numpy()
        legal = automaton.legal(state)
        truth = np.zeros_like(p)
        truth[[tokenizer.encode(s)[0] for s in legal]] = 1 / len(legal)
        if place:
            distances.append(np.abs(p - truth).sum() / 2)
            legals.append(truth[p.argmax()] > 0)
        state = dict(automaton.edges[state])[symbol]
    cut = automata["heldout"].table().to_pylist()
    table = pa.Table.from_pylist(
        [{**r, "text": text} for r in cut if r["id"] == row["id"]],
        automata["heldout"].table().schema,
    )
    given = type(automata["heldout"])("documents", [table])
    ran = run_stage(AutomataScores, {"model": automata_model, "documents": given}, device="cpu")
    found = {r["metric"]: r["value"] for r in ran.rows()}
    assert found["tvd"] == pytest.approx(np.mean(distances), abs=1e-5)
    assert found["accuracy"] == pytest.approx(np.mean(legals))


def test_documents_without_their_automaton_are_refused(run_stage, automata_model, documents):
    inputs = {"model": automata_model, "documents": documents({"x": "ab|a"})}
    with pytest.raises(ValueError, match='no column "automaton"'):
        run_stage(AutomataScores, inputs, device="cpu")


def test_the_order_of_held_out_documents_does_not_matter(run_stage, automata, automata_model,
                                                         automata_scores):  # fmt: skip
    table = automata["heldout"].table()
    backwards = type(automata["heldout"])(
        "documents", [table.take(list(range(table.num_rows))[::-1])]
    )
    inputs = {"model": automata_model, "documents": backwards}
    again = run_stage(AutomataScores, inputs, device="cpu", batch_size=3)
    here = {(r["id"], r["metric"]): r["value"] for r in automata_scores.rows()}
    assert {(r["id"], r["metric"]): r["value"] for r in again.rows()} == pytest.approx(
        here, rel=1e-5
    )


@pytest.mark.parametrize("ends", [(4, 3), (0, 3)])
def test_bounds_that_cannot_be_are_refused(ends):
    with pytest.raises(ValueError, match="fewest first"):
        Automata.Config(strings=ends)


# Markov


def test_truths_are_those_of_the_oracle(run_stage):
    ran = run_stage(Markov, order=2, p=0.8, q=0.5, **MARKOV)
    metrics = ran.context.metrics
    assert metrics["unigram_entropy"] * math.log(2) == pytest.approx(0.6663, abs=5e-5)
    assert metrics["entropy_rate"] * math.log(2) == pytest.approx(0.6190, abs=5e-5)
    source = {row["metric"]: row["value"] for row in ran.rows("truths") if row["id"] == "source"}
    assert source == {name: metrics[name] for name in source}
    assert metrics["entropy_rate"] <= metrics["entropy_of_a_text"] <= metrics["unigram_entropy"]


def test_what_the_source_gives_each_held_out_text_stands_in_its_truths(run_stage):
    ran = run_stage(Markov, chain="random", symbols=3, **MARKOV)
    texts = {row["id"]: row["text"] for row in ran.rows("heldout")}
    bits = [row for row in ran.rows("truths") if row["metric"] == "bits_per_byte"]
    assert {row["id"] for row in bits} == texts.keys()
    assert all(row["weight"] == len(texts[row["id"]]) == 40 for row in bits)
    assert {symbol for text in texts.values() for symbol in text} <= set("abc")


def test_given_transitions_are_taken(run_stage):
    ran = run_stage(Markov, chain="given", transitions=[[0.0, 1.0], [0.5, 0.5]], **MARKOV)
    assert not any("aa" in row["text"] for row in ran.rows("documents"))


@pytest.mark.parametrize("wrong", [{"chain": "given"}, {"transitions": [[0.5, 0.5], [0.5, 0.5]]}])
def test_transitions_go_with_a_given_chain_only(wrong):
    with pytest.raises(ValueError, match="set both or none"):
        Markov.Config(**wrong)


def test_no_training_text_of_a_source_is_held_out(run_stage):
    ran = run_stage(Markov, p=0.5, q=0.5, count=60, heldout=20, length=6, seed=3)
    held_out = {row["text"] for row in ran.rows("heldout")}
    assert not held_out & {row["text"] for row in ran.rows("documents")}
    with pytest.raises(ValueError, match="make them longer"):
        run_stage(Markov, count=2, heldout=50, length=1, seed=3)


def test_more_texts_change_none_of_the_earlier_ones(run_stage):
    few, many = (run_stage(Markov, **{**MARKOV, "count": count}) for count in (10, 20))
    assert many.rows("documents")[:10] == few.rows("documents")


def test_a_model_of_characters_is_scored_in_the_unit_of_the_truths(run_stage, train):
    ran = run_stage(Markov, chain="switching", p=0.95, q=0.95, **{**MARKOV, "count": 60})
    model = train(ran["documents"], steps=60)
    scores = run_stage(Evaluate, {"model": model, "documents": ran["heldout"]}, device="cpu")
    truth = ran.context.metrics
    assert truth["entropy_rate"] < scores.context.metrics["bits_per_byte"] < 2.0
    weights = {row["id"]: row["weight"] for row in scores.rows()}
    expected = {r["id"]: r["weight"] for r in ran.rows("truths") if r["metric"] == "bits_per_byte"}
    assert weights == expected
