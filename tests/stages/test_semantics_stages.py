"""semantics.*: a planted change is found, whatever the vectors are from; what did not move is not."""

import random
import shutil

import pyarrow as pa
import pytest

from stages.kinds import DOCUMENTS
from stages.semantics import Chunks, Clean, Wordpiece
from stages.semantics_shift import Shift
from stages.semantics_usages import Space, Usages, Vectors
from stages.tokenizer import Train

SEA = ["the {} rolled over the {} sand", "a boat on the {} of the {} sea", "{} of salt {} water"]
FIRM = ["the {} signed a {} contract", "profits of the {} rose {} again", "a {} hired {} clerks"]
GREY = ["on {} days we walk {} home", "she said {} and went {} away", "{} it was {} late at night"]


def corpus(documents, name, meanings, seed):
    """Made-up texts: each word of `meanings` in sentences of its own kind."""
    chance = random.Random(seed)
    texts = {}
    for number in range(24):
        sentences = []
        for word, kinds in meanings.items():
            for _ in range(3):
                other = chance.choice(["dull", "wide", "old", "slow", "bright"])
                sentences.append(chance.choice(kinds).format(word, other).capitalize() + ".")
        chance.shuffle(sentences)
        texts[f"{name}{number:02}"] = {"text": " ".join(sentences), "group": name}
    return documents(texts, shards=2)


@pytest.fixture(scope="module")
def corpora(documents):
    old = {"bank": SEA, "tide": SEA, "office": FIRM, "grey": GREY}
    modern = {"bank": FIRM, "tide": SEA, "office": FIRM, "grey": GREY}
    return {"old": corpus(documents, "o", old, 1), "modern": corpus(documents, "m", modern, 2)}


# Among four words one that moved is a quarter of what a corpus has in common.
SETTINGS = {"resamples": 200, "unit": "document", "center": "all"}
WORDS = ["bank", "tide", "office", "grey"]


@pytest.fixture(scope="module")
def usages(run_stage, corpora):
    return run_stage(Usages, corpora, words=WORDS, max_usages=60, shard_rows=100)


@pytest.fixture(scope="module")
def space(run_stage, corpora):
    return run_stage(Space, corpora, dimensions=10, min_count=2)


@pytest.fixture(scope="module")
def counted(run_stage, usages, space):
    given = {"usages": usages["usages"], "model": space["model"]}
    return run_stage(Vectors, given)["usages"]


@pytest.fixture(scope="module")
def shifted(run_stage, counted):
    return run_stage(Shift, {"usages": counted}, **SETTINGS)


def by_word(ran, metric):
    return {row["id"]: row for row in ran.rows("shift") if row["metric"] == metric}


def test_a_word_has_as_many_usages_from_either_corpus(usages):
    rows = usages.rows("usages")
    for word in WORDS:
        periods = [row["period"] for row in rows if row["word"] == word]
        assert periods.count("old") == periods.count("modern") == 60
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        assert row["text"][row["start"] : row["end"]].lower() == row["word"]
    counts = {(r["id"], r["group"], r["metric"]): r for r in usages.rows("counts")}
    assert counts["bank", "old", "usages"]["value"] == 72
    assert counts["bank", "old", "taken"]["value"] == 60


def test_a_word_that_is_too_rare_is_left_out_and_told(run_stage, corpora):
    ran = run_stage(Usages, corpora, words=["bank", "boat"], min_usages=60)
    assert {row["word"] for row in ran.rows("usages")} == {"bank"}
    taken = {r["id"]: r["value"] for r in ran.rows("counts") if r["metric"] == "taken"}
    assert taken == {"bank": 72, "boat": 0}
    assert ran.context.metrics["words_left_out"] == 1


def test_periods_may_be_groups_of_one_corpus(run_stage, corpora, usages, artifact):
    both = [row for side in corpora.values() for row in side.table().to_pylist()]
    given = {"documents": artifact("documents", both[::-1], shards=3)}
    settings = {"words": WORDS, "max_usages": 60, "shard_rows": 100}
    ran = run_stage(Usages, given, old_groups=["o"], modern_groups=["m"], **settings)
    assert ran.rows("usages") == usages.rows("usages")
    for wrong in ({}, {"old_groups": ["o"]}, {"old_groups": ["o"], "modern_groups": ["m", "o"]}):
        with pytest.raises(ValueError, match=r"old_groups|both old and modern"):
            run_stage(Usages, given, **settings, **wrong)
    with pytest.raises(ValueError, match="give two corpora"):
        run_stage(Usages, {"old": corpora["old"]}, **settings)


def test_the_planted_word_moved_and_the_others_did_not(shifted):
    prt, excess = by_word(shifted, "prt"), by_word(shifted, "prt_excess")
    assert max(WORDS, key=lambda word: excess[word]["value"]) == "bank"
    assert prt["bank"]["q_value"] <= 0.05
    assert prt["bank"]["low"] > prt["bank"]["expected"]
    assert prt["office"]["p_value"] > 0.02
    assert by_word(shifted, "jsd")["bank"]["value"] > by_word(shifted, "jsd")["office"]["value"]
    assert shifted.context.metrics["words_changed"] >= 1


def test_senses_account_for_every_usage_and_their_gains_cancel(shifted, counted):
    rows = shifted.rows("senses")
    assert sorted(row["id"] for row in rows) == sorted(counted.table().column("id").to_pylist())
    for word in WORDS:
        gains = [r for r in shifted.rows("shift") if (r["id"], r["metric"]) == (word, "sense_gain")]
        assert sum(row["value"] for row in gains) == pytest.approx(0, abs=1e-8)
        assert sum(row["weight"] for row in gains) == 120
        places = [(r["sense"], r["period"], r["rank"]) for r in rows if r["word"] == word]
        assert len(set(places)) == 120


def test_the_page_shows_each_word_with_examples_and_figures(shifted):
    files = {row["id"]: row["content"] for row in shifted.rows("report")}
    page = files["report.md"].decode()
    assert page.index("| bank |") < page.index("| tide |")
    assert "**Bank**" in page or "**bank**" in page
    assert files["shift.png"].startswith(b"\x89PNG")
    assert shifted.context.figures.keys() == {"shift", "usages"}


def test_rows_in_another_order_change_nothing(run_stage, counted, shifted):
    table = counted.table()
    backwards = pa.concat_tables([table.slice(k, 1) for k in reversed(range(table.num_rows))])
    other = type(counted)(counted.kind, [backwards])
    ran = run_stage(Shift, {"usages": other}, **SETTINGS)
    assert sorted(map(str, ran.rows("shift"))) == sorted(map(str, shifted.rows("shift")))


def test_aligned_spaces_tell_the_planted_word_too(space):
    distances = {row["id"]: row["value"] for row in space.rows("distances")}
    assert max(WORDS, key=distances.__getitem__) == "bank"


@pytest.fixture(scope="module")
def bert(tmp_path_factory, corpora, run_stage):
    """A small masked model with its WordPiece tokenizer, not trained."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    made = run_stage(Wordpiece, {"documents": corpora["old"]}, vocab_size=150)["tokenizer"]
    (folder / "tokenizer.json").write_bytes((made.folder() / "tokenizer.json").read_bytes())
    torch.manual_seed(0)
    config = BertConfig(vocab_size=400, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                        intermediate_size=32, max_position_embeddings=48)  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


def test_a_masked_model_sees_both_sides_of_a_word(run_stage, usages, bert):
    ran = run_stage(Vectors, {"usages": usages["usages"]}, hub=str(bert), device="cpu")
    rows = ran.rows()
    assert [row["id"] for row in rows] == [row["id"] for row in usages.rows("usages")]
    assert {len(row["vector"]) for row in rows} == {16}
    assert len({tuple(row["vector"]) for row in rows}) > 100  # one word, other contexts


def test_a_vector_is_the_mean_of_the_last_layers_over_the_words_tokens(bert):
    import numpy as np
    import torch

    from operators.semantics.contextual import contextual_vectors, load_encoder

    model, tokenizer = load_encoder(str(bert), local=True)
    texts = ["The office signed a wide contract.", "Salt water, a bankish sea and the old boat."]
    spans = [(4, 10), (14, 21)]
    found = contextual_vectors(model, tokenizer, texts, spans, layers=2, longest=48, device="cpu")
    for text, (start, end), vector in zip(texts, spans, found, strict=True):
        encoding = tokenizer.encode(text)
        with torch.no_grad():
            hidden = model(input_ids=torch.tensor([encoding.ids]), output_hidden_states=True)
        mean = (hidden.hidden_states[-1] + hidden.hidden_states[-2])[0] / 2
        inside = [k for k, (a, b) in enumerate(encoding.offsets) if a < end and start < b]
        assert inside
        np.testing.assert_allclose(vector, mean[inside].mean(0).numpy(), atol=1e-5)
    # Where the model is too short for the text, what is around the word is what it sees.
    short = contextual_vectors(model, tokenizer, texts, spans, longest=8, device="cpu")
    assert short.shape == found.shape
    with pytest.raises(ValueError, match="no token lies"):
        contextual_vectors(model, tokenizer, ["a  b"], [(1, 2)], longest=8, device="cpu")


def test_a_causal_model_of_this_project_gives_vectors(run_stage, trained, documents):
    texts = {f"{side}{k}": "The cat sat on the mat. The dog sat in the sun." for side in "ab"
             for k in range(12)}  # fmt: skip
    sides = {"old": documents({k: v for k, v in texts.items() if k[0] == "a"}),
             "modern": documents({k: v for k, v in texts.items() if k[0] == "b"})}  # fmt: skip
    found = run_stage(Usages, sides, words=["dog", "cat", "sat"])["usages"]
    ran = run_stage(Vectors, {"usages": found, "model": trained["model"]}, device="cpu")
    assert {len(row["vector"]) for row in ran.rows()} == {16}
    shift = run_stage(Shift, {"usages": ran["usages"]}, resamples=100, center="none")
    # The same texts on both sides: nothing moved, whatever the model thinks.
    assert all(row["value"] == pytest.approx(0, abs=1e-6)
               for row in by_word(shift, "prt").values())  # fmt: skip


def test_a_model_whose_tokenizer_tells_no_places_is_refused_by_what_would_do(
    run_stage, usages, trained, sayings, tmp_path
):
    picky = run_stage(Train, {"documents": sayings}, algorithm="picky_bpe", vocab_size=290)
    shutil.copytree(trained["model"].folder(), tmp_path, dirs_exist_ok=True)
    (tmp_path / "tokenizer.json").unlink()
    shutil.copyfile(picky["tokenizer"].folder() / "tokenmill.json", tmp_path / "tokenmill.json")
    model = type(trained["model"])("model", folder=tmp_path)
    with pytest.raises(ValueError, match="algorithm bpe, wordpiece or unigram"):
        run_stage(Vectors, {"usages": usages["usages"], "model": model}, device="cpu")


def test_a_model_is_given_once(run_stage, usages, space, bert):
    given = {"usages": usages["usages"]}
    for inputs, settings in ((given, {}),
                             ({**given, "model": space["model"]}, {"hub": str(bert)})):  # fmt: skip
        with pytest.raises(ValueError, match="give a model, or set hub"):
            run_stage(Vectors, inputs, **settings)


def test_what_is_no_text_is_dropped_with_its_reason(run_stage, documents):
    texts = documents({
        "good": "The old mill stood by the river for years.",
        "half": "ab12",  # half of it letters: not more than half is something else
        "signs": "12,5 % --- 7 / 8 a",
        "short": "Too short.",
    })  # fmt: skip
    tokenizer = run_stage(Wordpiece, {"documents": texts}, vocab_size=200)["tokenizer"]
    ran = run_stage(Clean, {"documents": texts, "tokenizer": tokenizer})
    reasons = {row["id"]: row["reason"] for row in ran.rows("dropped")}
    # "Too short ." and its marks are more than five only as long as it is cut in pieces.
    assert reasons["signs"] == "few_letters"
    assert "half" not in {k for k, v in reasons.items() if v == "few_letters"}
    assert "good" not in reasons
    without = run_stage(Clean, {"documents": texts})
    assert [row["id"] for row in without.rows("dropped")] == ["signs"]
    strict = run_stage(Clean, {"documents": texts, "tokenizer": tokenizer}, min_tokens=50)
    assert {row["reason"] for row in strict.rows("dropped")} == {"few_letters", "few_tokens"}


def test_chunks_are_whole_sentences_of_bounded_length(run_stage, documents):
    text = " ".join(f"This is sentence number {k} of a text." for k in range(30))
    given = documents({"a": text, "b": ""})
    tokenizer = run_stage(Wordpiece, {"documents": given}, vocab_size=300)["tokenizer"]
    rows = run_stage(Chunks, {"documents": given, "tokenizer": tokenizer}, max_tokens=40).rows()
    assert " ".join(row["text"] for row in rows) == text
    assert [row["id"] for row in rows] == [f"a#{k}" for k in range(len(rows))]
    assert len(rows) > 4
    assert rows[0].keys() == set(DOCUMENTS.names)
