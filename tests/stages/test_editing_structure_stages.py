"""editing.permute, infill, mask, repeat, spans and skip: what changes is said, by row id alone."""

import json
from collections import Counter

import pytest
from pydantic import ValidationError

from operators.editing.edit_spans import apply_edits, parse_edits
from operators.editing.skipping import word_spans
from stages.editing_examples import Repeat, Skip, Spans
from stages.editing_structure import Infill, Mask, MaskAnswers, Permute
from stages.tokenizer_files import end_of_text_id, load_tokenizer

PUNCTUATION = r"| ?\p{L}[\p{L}\p{M}]*| ?\p{N}{1,3}|[^\s\p{L}\p{N}]|\s+(?!\S)|\s+"


@pytest.fixture(scope="module")
def texts(documents, prose):
    rows = {f"doc-{number}": prose(number, 30) for number in range(12)}
    facts = "Paris is the capital of France. Ludwig van Beethoven, a composer, was born in Bonn."
    return documents({**rows, "facts": facts, "empty": "", "space": " \n"}, shards=2)


@pytest.fixture(scope="module")
def examples(artifact):
    pairs = {
        "a": ("he go to school", "he goes to a school"),
        "b": ("it is fine", "it is fine"),
        "c": ("Step 1: we add 2 and 3. Step 2: so we get 5.", "Step 1: add 2 and 3. So we get 5."),
        "d": ("she read 12 book", "she reads 12 books"),
        "empty": ("", "a b"),
    }
    rows = [
        {"id": id_, "group": None, "source_language": "eng_Latn", "target_language": "eng_Latn",
         "source_text": source, "target_text": target, "source_sentences": [],
         "target_sentences": [], "score": None, "edits": ["earlier"]}
        for id_, (source, target) in pairs.items()
    ]  # fmt: skip
    return artifact("bitext", rows, shards=2)


@pytest.fixture(scope="module")
def spans(run_stage, examples):
    return run_stage(Spans, {"bitext": examples}, instruction="Correct it.")


@pytest.fixture(scope="module")
def rewritten(run_stage, examples):
    return run_stage(Spans, {"bitext": examples}, instruction="Correct it.", form="text")


@pytest.fixture(scope="module")
def samples(tokens):
    """Rows with an answer of 12 tokens, and one of 3."""
    import pyarrow as pa

    rows = tokens.table()
    scored = [[False] * (4 if row % 2 else 13) + [True] * (12 if row % 2 else 3)
              for row in range(rows.num_rows)]  # fmt: skip
    rows = rows.append_column("scored", pa.array(scored, pa.list_(pa.bool_())))
    return type(tokens)("tokens", [rows.slice(0, 7), rows.slice(7)])


def by_id(ran):
    return {row["id"]: row for row in ran.rows()}


def without(rows, *names):
    return [{name: value for name, value in row.items() if name not in names} for row in rows]


def assert_rows_depend_on_ids_alone(run, given):
    """Shards and order make no difference; a seed does."""
    whole = by_id(run(given))
    for rows in (1, 100):
        assert by_id(run(given.in_shards_of(rows))) == whole
    assert run(given, seed=6).rows() != run(given, seed=5).rows()
    turned = given.table().take(list(reversed(range(given.rows))))
    assert by_id(run(type(given)(given.kind, [turned]))) == whole


# --- editing.permute ------------------------------------------------------------------------------


@pytest.fixture
def permute(run_stage):
    def permute(given, **settings):
        return run_stage(Permute, {"documents": given}, **{"seed": 5, **settings})

    return permute


REVERSED = {"original": 0, "reversed": 1, "random": 0}


def test_permuted_rows_keep_all_but_the_order_of_their_words(permute, texts):
    ran = permute(texts)
    changed = 0
    for before, after in zip(texts.table().to_pylist(), ran.rows(), strict=True):
        assert without([before], "text", "edits") == without([after], "text", "edits")
        assert Counter(before["text"].split()) == Counter(after["text"].split())
        assert bool(after["edits"]) == (before["text"] != after["text"])
        for edit in after["edits"]:
            changed += int(edit.split()[-2])
    counts = ran.context.counts
    assert counts["changed"] == changed > 3
    assert counts["changed"] <= counts["drawn"] <= counts["eligible"]
    assert counts["drawn"] == counts["reversed"] + counts["random"]
    assert ran.context.metrics["changed_share"] == changed / counts["eligible"]


def test_reversed_units_leave_names_whole(permute, texts):
    assert by_id(permute(texts, **REVERSED))["facts"]["text"] == (
        "France. of is the capital Paris Bonn. in was born a composer, Ludwig van Beethoven,"
    )


def test_the_baselines_reverse_words_and_chunks(permute, documents):
    given = documents({"a": "one two three four five"})
    assert permute(given, units="words", **REVERSED).rows()[0]["text"] == "five four three two one"
    chunks = permute(given, units="chunks", chunk_words=2, **REVERSED)
    assert chunks.rows()[0]["text"] == "five three four one two"


def test_the_original_order_gives_the_same_rows(permute, texts):
    ran = permute(texts, original=1, reversed=0, random=0)
    assert ran["documents"].table().equals(texts.table())
    assert ran.context.counts["changed"] == ran.context.counts["drawn"] == 0


def test_permutations_depend_on_ids_alone(permute, texts):
    assert_rows_depend_on_ids_alone(permute, texts)


def test_a_segmenter_of_ones_own_is_checked(run_stage, texts):
    class Careless(Permute):
        def segmenter(self):
            return lambda sentence: [sentence.upper()]

    ran = run_stage(Careless, {"documents": texts}, **REVERSED)
    assert ran["documents"].table().equals(texts.table())
    assert ran.context.counts["unfaithful"] > 10


def test_chances_that_do_not_make_one_are_an_error():
    with pytest.raises(ValidationError, match=r"random\n.*make 1.16667, and should make 1"):
        Permute.Config(original=0.5)


# --- editing.infill -------------------------------------------------------------------------------


@pytest.fixture
def infill(run_stage):
    def infill(given, **settings):
        return run_stage(Infill, {"documents": given}, **{"seed": 5, **settings})

    return infill


@pytest.mark.parametrize("mode", ["fim", "fim_se"])
def test_infilled_rows_say_how_and_the_others_are_as_they_were(infill, texts, mode):
    ran = infill(texts, mode=mode)
    drawn = 0
    for before, after in zip(texts.table().to_pylist(), ran.rows(), strict=True):
        assert without([before], "text", "edits") == without([after], "text", "edits")
        if not after["edits"]:
            assert after == before
            continue
        drawn += 1
        kind = "fim-se" if mode == "fim_se" else after["edits"][0][8:11]
        assert after["edits"][0].startswith(f"infill: {kind} at ")
        assert after["text"].startswith("<PRE>")
        assert after["text"].endswith("<EOT>")
        assert ("<START>" in after["text"]) == (mode == "fim_se")
    counts = ran.context.counts
    assert counts["drawn"] == counts["changed"] == drawn > 2
    assert (counts["documents"], counts["eligible"]) == (15, 14)


def test_rate_0_infills_nothing(infill, texts):
    for mode in ("fim", "fim_se"):
        assert infill(texts, rate=0, mode=mode)["documents"].table().equals(texts.table())


def test_infilling_depends_on_ids_alone(infill, texts):
    assert_rows_depend_on_ids_alone(infill, texts)


def test_sentinels_become_tokens_of_their_own_as_the_page_says(infill, run_stage, sayings):
    from stages.tokenizer import Train

    given = infill(sayings, rate=0.9)["documents"]
    trained = run_stage(
        Train,
        {"documents": given},
        vocab_size=400,
        pretokenizer="<(?:PRE|SUF|MID|EOT)>" + PUNCTUATION,
    )
    tokenizer = load_tokenizer(trained["tokenizer"])
    for mark in ("<PRE>", "<SUF>", "<MID>", "<EOT>"):
        assert len(tokenizer.encode(mark)) == 1
        number = tokenizer.encode(mark)[0]
        assert tokenizer.encode(f"a ({mark}b")[-2:] == [number, *tokenizer.encode("b")]


# --- editing.mask ---------------------------------------------------------------------------------


@pytest.fixture
def mask(run_stage, tokenizer):
    def mask(given, **settings):
        inputs = {"tokens": given, "tokenizer": tokenizer}
        return run_stage(Mask, inputs, **{"seed": 5, **settings})

    return mask


def test_inputs_are_masked_and_tokens_are_not(mask, tokens, tokenizer):
    ran = mask(tokens)
    own = len(load_tokenizer(tokenizer).tokens)
    for before, after in zip(tokens.table().to_pylist(), ran.rows(), strict=True):
        assert without([after], "inputs", "edits") == without([before], "edits")
        pairs = zip(before["tokens"], after["inputs"], strict=True)
        differing = [{"position": at, "before": a, "after": b}
                     for at, (a, b) in enumerate(pairs) if a != b]  # fmt: skip
        assert after["edits"] == differing
        assert len(differing) == 2, "15 % of 16"
        assert {edit["after"] for edit in differing} == {own}
        assert after["inputs"][-1] == before["tokens"][-1]
    counts = ran.context.counts
    assert counts["drawn"] == counts["changed"] == 2 * tokens.rows
    assert (counts["eligible"], counts["tokens"]) == (15 * tokens.rows, 16 * tokens.rows)
    assert ran.context.metrics["masked_share"] == 1 / 8


def test_a_ratio_of_0_gives_the_same_rows(mask, tokens):
    assert mask(tokens, ratio=0)["tokens"].table().equals(tokens.table())


def test_masks_depend_on_ids_alone(mask, tokens):
    assert_rows_depend_on_ids_alone(mask, tokens)


def test_a_second_round_masks_more_and_keeps_the_first(mask, tokens):
    once = mask(tokens)
    twice = mask(once["tokens"], seed=6)
    for before, after in zip(once.rows(), twice.rows(), strict=True):
        masked = [
            at
            for at, (a, b) in enumerate(zip(before["inputs"], before["tokens"], strict=True))
            if a != b
        ]
        assert all(after["inputs"][at] == before["inputs"][at] for at in masked)
        assert after["edits"][: len(before["edits"])] == before["edits"]
    assert twice.context.counts["changed"] < twice.context.counts["drawn"]


def test_the_mask_may_be_a_token_that_no_text_is_made_of(mask, tokens, tokenizer):
    loaded = load_tokenizer(tokenizer)
    used = {token for row in tokens.table().column("tokens").to_pylist() for token in row}
    unused = next(
        number for number, token in enumerate(loaded.tokens)
        if number not in used and token.isascii() and number != end_of_text_id(loaded)
    )  # fmt: skip
    ran = mask(tokens, mask_token=loaded.tokens[unused].decode())
    assert {edit["after"] for row in ran.rows() for edit in row["edits"]} == {unused}
    with pytest.raises(ValueError, match='mask_token "<mask>" is no token of the vocabulary'):
        mask(tokens, mask_token="<mask>")
    with pytest.raises(ValueError, match="none of the tokens"):
        mask(tokens, mask_token="<|endoftext|>")


# --- editing.mask_answers -------------------------------------------------------------------------


@pytest.fixture
def mask_answers(run_stage, tokenizer):
    def mask_answers(given, **settings):
        inputs = {"tokens": given, "tokenizer": tokenizer}
        return run_stage(
            MaskAnswers, inputs, **{"seed": 5, "shortest": 5, "ratio": 0.2, **settings}
        )

    return mask_answers


def test_each_sample_is_there_twice_and_the_copy_is_scored_where_it_is_masked(
    mask_answers, samples, tokenizer
):
    ran = mask_answers(samples)
    own = len(load_tokenizer(tokenizer).tokens)
    made = ran.rows()
    for row, before in enumerate(samples.table().to_pylist()):
        plain, copy = made[2 * row : 2 * row + 2]
        assert plain == {**before, "inputs": before["tokens"]}
        assert copy["tokens"] == before["tokens"]
        masked = [at for at, token in enumerate(copy["inputs"]) if token == own]
        if row % 2:
            assert copy["id"] == f"{before['id']}#masked"
            assert len(masked) == 2
            assert all(before["scored"][at] for at in masked)
            assert [at for at, scored in enumerate(copy["scored"]) if scored] == masked
            assert [edit["position"] for edit in copy["edits"]] == masked
        else:
            assert copy == {**plain, "id": f"{before['id']}#again"}
    counts = ran.context.counts
    assert counts["changed"] == counts["drawn"] == 2 * (samples.rows // 2)
    assert counts["short_answers"] == samples.rows - samples.rows // 2


def test_a_ratio_of_0_adds_no_row(mask_answers, samples):
    assert mask_answers(samples, ratio=0)["tokens"].table().equals(samples.table())


def test_masked_answers_depend_on_ids_alone(mask_answers, samples):
    assert_rows_depend_on_ids_alone(mask_answers, samples)


def test_samples_without_answers_are_an_error(mask_answers, tokens):
    with pytest.raises(ValueError, match="no column scored"):
        mask_answers(tokens)


# --- editing.spans --------------------------------------------------------------------------------


def test_edits_are_the_target_and_make_it_of_the_input(spans, examples):
    for before, after in zip(examples.table().to_pylist(), spans.rows(), strict=True):
        assert after["id"] == before["id"]
        assert after["edits"] == ["earlier"]
        assert after["input"] == before["source_text"]
        edited = apply_edits(after["input"].split(), parse_edits(after["target"]))
        assert " ".join(edited) == before["target_text"]
        assert after["text"] == f"Correct it.\n{after['input']}\n{after['target']}"
    assert by_id(spans)["a"]["target"] == '(1,2,"goes") (3,3,"a")'
    assert by_id(spans)["b"]["target"] == "None"
    counts = spans.context.counts
    assert (counts["eligible"], counts["changed"], counts["edits"]) == (5, 4, 7)


def test_the_whole_target_is_the_form_to_compare_with(spans, rewritten, examples):
    assert [row["target"] for row in rewritten.rows()] == [
        row["target_text"] for row in examples.table().to_pylist()
    ]
    assert spans.context.metrics == rewritten.context.metrics
    whole = sum(len(row["target"]) for row in rewritten.rows())
    edits = sum(len(row["target"]) for row in spans.rows())
    assert spans.context.metrics["length_share"] == edits / whole


def test_the_default_instruction_fits_the_form(run_stage, examples):
    for form, says in (("spans", "None"), ("text", "Correct the sentence.")):
        ran = run_stage(Spans, {"bitext": examples}, form=form)
        assert says in ran.rows()[0]["instruction"]


# --- editing.repeat -------------------------------------------------------------------------------


@pytest.fixture
def repeat(run_stage, tokenizer):
    def repeat(given, **settings):
        return run_stage(Repeat, {"documents": given, "tokenizer": tokenizer}, **settings)

    return repeat


def test_context_and_question_are_said_twice(repeat, spans):
    ran = repeat(spans["documents"], separator="|")
    for before, after in zip(spans.rows(), ran.rows(), strict=True):
        c, q, a = before["input"], before["instruction"], before["target"]
        assert after["text"] == f"{c}|{q}|{c}|{q}|{a}"
        assert after["input"] == f"{c}|{q}|{c}"
        assert after["edits"] == [*before["edits"], "context and question said 2 times"]
        kept = ("text", "input", "edits")
        assert without([after], *kept) == without([before], *kept)
    assert ran.context.counts["eligible"] == 4
    assert ran.context.metrics["length_factor"] > 2


def test_once_gives_the_same_rows_where_the_question_came_first(repeat, spans):
    ran = repeat(spans["documents"], times=1, question_first=True)
    assert ran["documents"].table().equals(spans["documents"].table())
    assert ran.context.counts["changed"] == 0
    assert ran.context.metrics["length_factor"] == 1
    turned = repeat(spans["documents"], times=1)
    assert by_id(turned)["a"]["text"] == 'he go to school\nCorrect it.\n(1,2,"goes") (3,3,"a")'


def test_a_context_is_cut_to_so_many_tokens_around_its_answer(repeat, spans, tokenizer):
    import pyarrow as pa

    given = spans["documents"].table()
    place = given.schema.get_field_index("target")
    given = given.set_column(place, "target", pa.array(["school", "fine", "2", "zebra", ""]))
    ran = repeat(type(spans["documents"])("documents", [given]), longest=4, times=1)
    encode = load_tokenizer(tokenizer).encode
    for before, after in zip(given.to_pylist(), ran.rows(), strict=True):
        assert after["input"] in before["input"]
        assert len(encode(after["input"])) <= len(encode(before["input"]))
        if before["target"] in before["input"]:
            assert before["target"][:1] in after["input"]
        assert bool(after["edits"][1:]) == (after["input"] != before["input"])
    assert ran.context.counts["cut"] > 2
    assert ran.context.counts["answers_not_found"] == 2


def test_what_repetition_lacks_is_named(run_stage, repeat, spans, texts):
    with pytest.raises(ValueError, match="wire a tokenizer"):
        run_stage(Repeat, {"documents": spans["documents"]}, longest=4)
    with pytest.raises(ValueError, match='no column "input", only id, text'):
        repeat(texts)


# --- editing.skip ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reasoning(rewritten):
    """Examples whose target is a text to shorten, three of each."""
    import pyarrow as pa

    rows = [
        {**row, "id": f"{row['id']}-{number}"} for number in range(3) for row in rewritten.rows()
    ]
    table = pa.Table.from_pylist(rows, rewritten["documents"].table().schema)
    return type(rewritten["documents"])("documents", [table.slice(0, 6), table.slice(6)])


@pytest.fixture
def skip(run_stage, trained):
    def skip(given, **settings):
        inputs = {"documents": given, "model": trained["model"]}
        return run_stage(Skip, inputs, **{"seed": 5, "device": "cpu", **settings})

    return skip


def words(text):
    return [text[start:end] for start, end in word_spans(text)]


def test_words_are_skipped_in_the_share_that_the_input_says(skip, reasoning):
    ran = skip(reasoning)
    gammas = set()
    for before, after in zip(reasoning.table().to_pylist(), ran.rows(), strict=True):
        gamma = after["gamma"]
        gammas.add(gamma)
        here, there = words(before["target"]), words(after["target"])
        assert after["kept_share"] == pytest.approx(len(there) / len(here))
        assert [w for w in here if w.isdigit()] == [w for w in there if w.isdigit()]
        rest = iter(here)
        assert all(word in rest for word in there), "in order"
        if gamma == 1:
            assert without([after], "gamma", "kept_share") == [before]
            continue
        assert after["input"] == f"{before['input']}<|eot_id|>{gamma:g}<|eot_id|>"
        assert after["text"] == "\n".join([after["instruction"], after["input"], after["target"]])
        assert after["edits"][1:] == [
            f"skipped {len(here) - len(there)} of {len(here)} words at gamma {gamma:g}"
        ]
    assert len(gammas) > 3
    metrics = ran.context.metrics
    assert metrics["asked_share"] - 0.01 < metrics["kept_share"] < 1
    counts = ran.context.counts
    assert counts["changed"] <= counts["drawn"] < counts["eligible"] == reasoning.rows


def test_gamma_1_gives_the_same_rows_and_does_not_run_the_model(skip, reasoning, monkeypatch):
    monkeypatch.setattr(Skip, "_importances", None)
    ran = skip(reasoning, gammas=[1.0])
    table = ran["documents"].table().drop(["gamma", "kept_share"])
    assert table.equals(reasoning.table())
    assert ran.context.metrics == {"kept_share": 1, "asked_share": 1}


def test_skipped_words_depend_on_ids_alone(skip, reasoning):
    assert_rows_depend_on_ids_alone(skip, reasoning)


def test_the_least_surprising_words_are_skipped(skip, trained):
    import pyarrow as pa

    from stages.editing_characters import EXAMPLES

    # The model knows this sentence by heart, and nothing else.
    target = "The cat sat on the mat. zebra quark The cat sat on the mat."
    row = {"id": "a", "text": "", "language": "eng_Latn", "source": "", "group": None,
           "edits": [], "instruction": "", "input": "", "target": target}  # fmt: skip
    given = type(trained["model"])("documents", [pa.Table.from_pylist([row], EXAMPLES)])
    (after,) = skip(given, gammas=[0.2]).rows()
    assert "zebra" in after["target"]
    assert "quark" in after["target"]


def test_what_follows_the_answer_mark_stays_whole(skip, reasoning):
    ran = skip(reasoning, gammas=[0.5], answer_mark="to a")
    for before, after in zip(reasoning.table().to_pylist(), ran.rows(), strict=True):
        place = before["target"].rfind("to a")
        if place >= 0:
            assert after["target"].endswith(before["target"][place:])
            assert len(after["target"]) < len(before["target"])


def test_a_gamma_that_is_no_share_is_an_error():
    with pytest.raises(ValidationError, match=r"gammas\n.*0 is no share of the words"):
        Skip.Config(gammas=[0.5, 0.0])


# --- all ------------------------------------------------------------------------------------------


def test_a_shard_without_rows_stays_one(permute, infill, mask, repeat, skip, spans, artifact):
    assert permute(artifact("documents", [])).rows() == []
    assert infill(artifact("documents", [])).rows() == []
    assert mask(artifact("tokens", [])).rows() == []
    nothing = type(spans["documents"])("documents", [spans["documents"].table().slice(0, 0)])
    assert repeat(nothing).rows() == []
    assert skip(nothing).rows() == []


def test_settings_are_said_in_full():
    for stage in (Permute, Infill, Mask, MaskAnswers, Repeat, Spans, Skip):
        fields = stage.Config.model_fields.values()
        assert all(field.description for field in fields)
        assert json.dumps(stage.Config().model_dump())
