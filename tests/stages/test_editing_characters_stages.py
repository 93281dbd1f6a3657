"""editing.perturb and editing.tipa: words change by their ids alone; tokens are spelled backwards."""

import json
import re
from typing import get_args

import pytest
from pydantic import ValidationError

from operators.editing.perturbations import PERTURBATIONS, edit_distance
from stages.editing_characters import EXAMPLES, Perturb, Tipa
from stages.tokenizer_files import load_tokenizer

KINDS = get_args(Perturb.Config.model_fields["kind"].annotation)


@pytest.fixture(scope="module")
def texts(documents, prose):
    rows = {f"doc-{number}": f"{prose(number)} 1984, http://a.bc/d" for number in range(12)}
    return documents({**rows, "empty": "", "digits": "12 345"}, shards=2)


@pytest.fixture
def perturb(run_stage):
    def perturb(given, **settings):
        return run_stage(Perturb, {"documents": given}, **{"rate": 0.3, "seed": 5, **settings})

    return perturb


# --- editing.perturb ------------------------------------------------------------------------------


def test_the_stage_offers_every_kind_there_is():
    assert KINDS == PERTURBATIONS


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_row_says_of_its_edits_is_so(perturb, texts, kind):
    ran = perturb(texts, kind=kind)
    counts = dict.fromkeys(("edits", "characters", "changed"), 0)
    for before, after in zip(texts.table().to_pylist(), ran.rows(), strict=True):
        assert {**after, "text": "", "edits": [], "distance": 0} == {
            **before, "text": "", "edits": [], "distance": 0,
        }  # fmt: skip
        assert after["distance"] == edit_distance(before["text"], after["text"])
        assert bool(after["edits"]) == (after["text"] != before["text"])
        for edit in after["edits"]:
            counts["changed"] += int(re.fullmatch(rf"{kind} of (\d+)", edit)[1])
        counts["edits"] += after["distance"]
        counts["characters"] += len(before["text"])
    assert counts["changed"] > 20, "the test perturbs too little to mean anything"
    assert {name: ran.context.counts[name] for name in counts} == counts
    assert ran.context.metrics["edit_rate"] == counts["edits"] / counts["characters"]
    shares = [ran.context.metrics[f"{name}_share"] for name in ("drawn", "changed")]
    assert shares[1] <= shares[0]
    assert shares[0] == pytest.approx(0.3, abs=0.05)


def test_digits_and_addresses_are_never_touched(perturb, texts):
    for kind in KINDS:
        for row in perturb(texts, kind=kind, rate=1).rows():
            if row["id"].startswith("doc-"):
                assert row["text"].endswith(" 1984, http://a.bc/d"), kind
            else:
                assert row["text"] in ("", "12 345"), kind


def test_rate_0_gives_the_same_rows(perturb, texts):
    ran = perturb(texts, rate=0)
    assert ran["documents"].table().drop(["distance"]).equals(texts.table())
    assert set(ran["documents"].table().column("distance").to_pylist()) == {0}
    assert ran.context.metrics["edit_rate"] == 0


def test_neither_shards_nor_order_make_a_difference(perturb, texts, artifact):
    whole = {row["id"]: row for row in perturb(texts).rows()}
    for rows in (1, 5, 100):
        assert {row["id"]: row for row in perturb(texts.in_shards_of(rows)).rows()} == whole
    turned = artifact("documents", list(reversed(texts.table().to_pylist())))
    assert {row["id"]: row for row in perturb(turned).rows()} == whole
    assert {row["id"]: row for row in perturb(texts, seed=6).rows()} != whole


def test_all_capitals_are_rate_1_of_upper(perturb, documents):
    ran = perturb(documents({"a": "The cat, at 9:45."}), kind="upper", rate=1)
    assert ran.rows()[0]["text"] == "THE CAT, AT 9:45."


def test_a_second_round_adds_its_edits_and_measures_its_own_distance(perturb, texts):
    once = perturb(texts, kind="swap")
    twice = perturb(once["documents"], kind="case")
    seen = 0
    for before, after in zip(once.rows(), twice.rows(), strict=True):
        assert after["edits"][: len(before["edits"])] == before["edits"]
        assert after["distance"] == edit_distance(before["text"], after["text"])
        seen += len(after["edits"]) == 2
    assert seen > 5


def test_what_is_protected_can_be_chosen(perturb, documents):
    given = documents({"a": "keep this but change that"})
    text = perturb(given, kind="upper", rate=1, protected="keep|but").rows()[0]["text"]
    assert text == "keep THIS but CHANGE THAT"
    with pytest.raises(ValidationError, match=r"protected\n.*is no regex"):
        Perturb.Config(protected="(")


def test_a_shard_without_rows_stays_one(perturb, artifact):
    ran = perturb(artifact("documents", []))
    assert ran.rows() == []
    assert ran.context.metrics == {}


# --- editing.tipa ---------------------------------------------------------------------------------


def test_every_token_that_is_text_is_spelled_backwards(run_stage, tokenizer):
    ran = run_stage(Tipa, {"tokenizer": tokenizer})
    tokens = load_tokenizer(tokenizer).tokens
    assert ran["documents"].table().schema == EXAMPLES
    for row in ran.rows():
        number = int(row["id"].removeprefix("tipa:token:"))
        assert row["input"] == tokens[number].decode().strip()
        pairs = json.loads(row["target"], object_pairs_hook=list)
        assert [int(position) for position, _ in pairs] == list(range(len(row["input"]), 0, -1))
        assert "".join(character for _, character in reversed(pairs)) == row["input"]
        assert row["text"] == f"{row['instruction']}\n{row['input']}\n{row['target']}"
    assert all(row["input"] != "<|endoftext|>" for row in ran.rows())
    metrics = ran.context.metrics
    assert metrics["tokens"] == len(ran.rows()) > 100
    assert metrics["tokens"] + metrics["tokens_left_out"] == len(tokens)


def test_documents_become_examples_by_their_ids_alone(run_stage, tokenizer, sayings):
    def chosen(given, **settings):
        ran = run_stage(Tipa, {"tokenizer": tokenizer, "documents": given}, **settings)
        rows = [row for row in ran.rows() if not row["id"].startswith("tipa:token:")]
        assert ran.context.metrics["sentences"] == len(rows)
        return rows

    some = chosen(sayings, share=0.5)
    assert 5 < len(some) < 25
    assert chosen(sayings.in_shards_of(7), share=0.5) == some
    assert chosen(sayings, share=0.5, seed=1) != some
    assert chosen(sayings, share=0) == []
    every = chosen(sayings, share=1, longest=3)
    assert {row["id"] for row in every} == {
        f"tipa:{row['id']}" for row in sayings.table().to_pylist()
    }
    assert {row["target"] for row in every} == {'{"3":"e","2":"h","1":"T"}'}
    assert {row["language"] for row in every} == {"eng_Latn"}


def test_the_instruction_and_the_order_can_be_chosen(run_stage, tokenizer):
    ran = run_stage(Tipa, {"tokenizer": tokenizer}, instruction="Spell it.", reverse=False)
    texts = [row["text"] for row in ran.rows() if row["input"] == "The"]
    # "The" and " The" are two tokens of the same text.
    assert texts == ['Spell it.\nThe\n{"1":"T","2":"h","3":"e"}'] * 2


def test_examples_are_documents_that_can_be_encoded_and_trained_on(run_stage, tokenizer):
    from stages.tokenizer import Encode

    made = run_stage(Tipa, {"tokenizer": tokenizer})["documents"]
    inputs = {"documents": made, "tokenizer": tokenizer}
    encoded = run_stage(Encode, inputs, sequence_length=16)
    assert encoded.context.counts["documents"] == made.rows
    assert encoded["tokens"].rows > 100
