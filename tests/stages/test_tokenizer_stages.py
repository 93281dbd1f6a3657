"""tokenizer.*: artifacts open as such, encoding loses nothing, the reference pays exactly 1."""

import math

import pytest
from tokenizers import Tokenizer

from stages.tokenizer import Encode, Encoder, Train
from stages.tokenizer_adaptation import Adapt
from stages.tokenizer_files import (
    END_OF_TEXT,
    end_of_text_id,
    load_library_tokenizer,
    load_own_tokenizer,
    load_tokenizer,
)
from stages.tokenizer_report import Compare, Measures, Report

ALGORITHMS = ("bpe", "unigram", "wordpiece", "picky_bpe", "superbpe", "lib")


def load(artifact):
    return Tokenizer.from_file(str(artifact.folder() / "tokenizer.json"))


# --- tokenizer.train ------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["bpe", "unigram", "wordpiece", "superbpe"])
def test_the_artifact_opens_with_both_libraries_and_they_agree(run_stage, sayings, algorithm):
    from transformers import AutoTokenizer

    ran = run_stage(Train, {"documents": sayings}, algorithm=algorithm, vocab_size=300)
    own = load(ran["tokenizer"])
    theirs = AutoTokenizer.from_pretrained(str(ran["tokenizer"].folder()))
    text = "The owl sat on the roof .  Die Eule, сова, 猫头鹰 🦉\n\tand so on"
    ids = own.encode(text, add_special_tokens=False).ids
    assert theirs(text)["input_ids"] == ids
    assert own.decode(ids, skip_special_tokens=False) == theirs.decode(ids) == text
    assert theirs.eos_token == END_OF_TEXT
    assert own.get_vocab_size() <= 300
    assert ran.context.metrics["vocab_size"] == own.get_vocab_size()
    assert ran.context.metrics["opens_with_libraries"] == 1
    assert load_tokenizer(ran["tokenizer"]).encode(text) == ids


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_gives_a_tokenizer_that_loses_nothing(run_stage, sayings, algorithm):
    ran = run_stage(Train, {"documents": sayings}, algorithm=algorithm, vocab_size=320)
    tokenizer = load_tokenizer(ran["tokenizer"])
    text = f"The owl sat .\r\n Die Eule {END_OF_TEXT} 猫头鹰 🦉\0\t and so on "
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert end_of_text_id(tokenizer) not in ids
    assert len(ids) < len(text.encode())
    assert ran.context.metrics["vocab_size"] == len(tokenizer.tokens) <= 320


def test_what_libraries_cannot_express_is_written_without_them_and_said(run_stage, sayings):
    ran = run_stage(Train, {"documents": sayings}, algorithm="picky_bpe", vocab_size=320)
    assert [path.name for path in ran["tokenizer"].folder().iterdir()] == ["tokenmill.json"]
    assert ran.context.metrics["opens_with_libraries"] == 0
    with pytest.raises(ValueError, match="algorithm bpe, wordpiece or unigram"):
        load_library_tokenizer(ran["tokenizer"])


def test_a_folder_without_a_tokenizer_is_named(artifact, tmp_path, trained):
    class Empty:
        kind = "model"

        def folder(self):
            return tmp_path

    with pytest.raises(ValueError, match=r"neither tokenmill\.json nor tokenizer\.json"):
        load_tokenizer(Empty())
    with pytest.raises(ValueError, match=r"tokenizer\.train made"):
        load_own_tokenizer(Empty())


def test_a_wrong_regex_is_refused_with_the_config():
    with pytest.raises(ValueError, match=r"\(a"):
        Train.Config(pretokenizer="(a")


# --- tokenizer.encoder ----------------------------------------------------------------------------


def test_another_encoder_keeps_the_ids_and_spells_otherwise(run_stage, sayings, tokenizer):
    ran = run_stage(Encoder, {"tokenizer": tokenizer}, encoder="pathpiece")
    before, after = load_tokenizer(tokenizer), load_tokenizer(ran["tokenizer"])
    assert tuple(before.tokens) == tuple(after.tokens)
    texts = sayings.table().column("text").to_pylist()
    here, there = before.encode_batch(texts), after.encode_batch(texts)
    assert [after.decode(ids) for ids in there] == texts
    assert sum(map(len, there)) <= sum(map(len, here))


def test_an_encoder_that_needs_what_the_tokenizer_lacks_is_refused(run_stage, tokenizer):
    with pytest.raises(ValueError, match="for encoder 'unigram', algorithm is 'bpe'"):
        run_stage(Encoder, {"tokenizer": tokenizer}, encoder="unigram")


def test_the_same_text_gives_the_same_bytes_whatever_the_shards(run_stage, sayings, tokenizer):
    given = {"documents": sayings.in_shards_of(7)}
    again = run_stage(Train, given, vocab_size=300)["tokenizer"]
    for path in tokenizer.folder().iterdir():
        assert (again.folder() / path.name).read_bytes() == path.read_bytes()


def test_a_vocabulary_too_small_for_all_bytes_is_refused_with_the_config():
    with pytest.raises(ValueError, match="greater than or equal to 257"):
        Train.Config(vocab_size=256)


# --- tokenizer.adapt ------------------------------------------------------------------------------

TASK = {str(n): "the owl sat on the roof of the barn. naïve 猫" for n in range(20)}


@pytest.fixture
def adapted(run_stage, documents, tokenizer):
    inputs = {"tokenizer": tokenizer, "documents": documents(TASK)}
    return run_stage(Adapt, inputs, vocab_size=290)


def test_an_adapted_tokenizer_keeps_the_ids_of_its_base_and_loses_no_text(adapted, tokenizer):
    base, after = load_tokenizer(tokenizer), load_tokenizer(adapted["tokenizer"])
    assert tuple(after.tokens[: len(base.tokens)]) == tuple(base.tokens)
    metrics = adapted.context.metrics
    assert metrics["added_pieces"] == len(after.tokens) - len(base.tokens) > 0
    assert metrics["tokens_after"] < metrics["tokens_before"]
    assert end_of_text_id(after) == end_of_text_id(base)
    for text in (*TASK.values(), f"An owl {END_OF_TEXT} sat\0\n猫頭鷹 🦉 "):
        assert after.decode(after.encode(text)) == text


def test_spellings_of_an_adapted_tokenizer_are_drawn_by_document_epoch_and_seed(
    run_stage, documents, adapted
):
    def drawn(**settings):
        given = {"documents": documents(TASK), "tokenizer": adapted["tokenizer"]}
        rows = run_stage(Encode, given, sequence_length=2, **settings).rows()
        return [row["tokens"] for row in rows]

    assert drawn(sampling=0.1) == drawn(sampling=0.1)
    assert drawn(sampling=0.1) != drawn(sampling=0.1, epoch=1)
    assert drawn(sampling=0.1) != drawn(sampling=0.1, seed=1)
    assert drawn(sampling=0.1) != drawn()
    with pytest.raises(ValueError, match="give what it was adapted from"):
        drawn(dropout=0.1)


def test_an_adapted_tokenizer_is_refused_where_it_cannot_be_used(run_stage, documents, adapted):
    with pytest.raises(ValueError, match="adapted already"):
        run_stage(
            Adapt, {"tokenizer": adapted["tokenizer"], "documents": documents(TASK)}, vocab_size=290
        )
    with pytest.raises(ValueError, match="give what it was adapted from"):
        run_stage(Encoder, {"tokenizer": adapted["tokenizer"]}, encoder="pathpiece")
    with pytest.raises(ValueError, match="algorithm bpe, wordpiece or unigram"):
        load_library_tokenizer(adapted["tokenizer"])


def test_a_task_without_a_text_adds_nothing(run_stage, documents, tokenizer):
    ran = run_stage(Adapt, {"tokenizer": tokenizer, "documents": documents({})})
    assert ran.context.metrics["added_pieces"] == 0
    text = "The owl sat."
    assert load_tokenizer(ran["tokenizer"]).encode(text) == load_tokenizer(tokenizer).encode(text)


# --- tokenizer.encode -----------------------------------------------------------------------------

TEXTS = {
    "plain": "The cat sat on the mat. " * 6,
    "short": "Hi.",
    "empty": "",
    "scripts": "Καλημέρα, мельница, 磨坊 🌾\n\n  indented\tand spaced  ",
    "last": "The dog sat by the door. " * 4,
}


@pytest.fixture
def encode(run_stage, tokenizer):
    def encode(given, **settings):
        inputs = {"documents": given, "tokenizer": tokenizer}
        return run_stage(Encode, inputs, **{"sequence_length": 8, **settings})

    return encode


def pieces(rows):
    """Document -> its tokens without the separator, put together from all its pieces."""
    found = {}
    for row in rows:
        ends = [*row["starts"][1:], len(row["tokens"])]
        for document, start, end in zip(row["documents"], row["starts"], ends, strict=True):
            found.setdefault(document, []).extend(row["tokens"][start:end])
    return found


def test_the_pieces_of_a_document_put_together_are_its_text(encode, documents, tokenizer):
    # A filler at the end takes the place of what is cut off.
    given = documents({**TEXTS, "filler": "x" * 40})
    ran = encode(given)
    tool = load(tokenizer)
    separator = tool.token_to_id(END_OF_TEXT)
    found = pieces(ran.rows())
    for id_, text in TEXTS.items():
        first, *rest = found[id_]
        assert first == separator
        assert separator not in rest
        assert tool.decode(rest, skip_special_tokens=False) == text


def test_every_sequence_has_the_length_asked_for_and_an_id_of_its_own(encode, documents):
    rows = encode(documents(TEXTS), sequence_length=7).rows()
    assert {len(row["tokens"]) for row in rows} == {7}
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(row["starts"][0] == 0 and row["edits"] == [] for row in rows)


def test_no_sequence_holds_documents_of_two_shards(encode, documents):
    rows = encode(documents(TEXTS, shards=5)).rows()
    assert all(len(row["documents"]) == 1 for row in rows)


def test_tokens_are_in_sequences_or_counted_as_dropped(encode, documents, tokenizer):
    tool = load(tokenizer)
    for shards in (1, 2, 5):
        ran = encode(documents(TEXTS, shards=shards))
        counts = ran.context.counts
        tokens = sum(len(tool.encode(text).ids) for text in TEXTS.values())
        assert counts["tokens"] == 8 * len(ran.rows())
        assert counts["tokens"] + counts["dropped_tokens"] == tokens + len(TEXTS)
        assert counts["dropped_tokens"] < 8 * shards
        size = sum(len(text.encode()) for text in TEXTS.values())
        assert ran.context.metrics["bytes_per_token"] == size / tokens


def test_a_text_that_spells_out_the_end_of_text_still_comes_back(encode, documents, tokenizer):
    text = f"A model stops at {END_OF_TEXT}, its end of text. " * 2
    ran = encode(documents({"a": text, "filler": "x" * 40}))
    tool = load(tokenizer)
    assert tool.decode(pieces(ran.rows())["a"][1:], skip_special_tokens=False) == text


def test_dropout_depends_on_document_epoch_and_seed_not_on_shards(encode, documents, tokenizer):
    def drawn(shards=1, **settings):
        given = documents({**TEXTS, "filler": "x" * 40}, shards=shards)
        return pieces(encode(given, **{"dropout": 0.3, "seed": 5, **settings}).rows())["plain"]

    assert drawn() == drawn(shards=2)
    assert drawn() != drawn(epoch=1)
    assert drawn() != drawn(seed=6)
    assert drawn(dropout=0.0) == pieces(encode(documents(TEXTS)).rows())["plain"]
    assert load_tokenizer(tokenizer).decode(drawn()[1:]) == TEXTS["plain"]
    assert len(drawn(dropout=1.0)) == 1 + len(TEXTS["plain"])


def test_segmentations_of_unigram_can_be_drawn(run_stage, documents, sayings):
    tokenizer = run_stage(
        Train, {"documents": sayings}, algorithm="unigram", vocab_size=300
    )["tokenizer"]  # fmt: skip
    given = {"documents": documents({"plain": TEXTS["plain"]}), "tokenizer": tokenizer}

    def drawn(**settings):
        rows = run_stage(Encode, given, sequence_length=2, **settings).rows()
        return pieces(rows)["plain"]

    assert drawn(sampling=0.1) != drawn(sampling=0.1, epoch=1)
    text = load_tokenizer(tokenizer).decode(drawn(sampling=0.1)[1:])
    assert TEXTS["plain"].startswith(text)
    with pytest.raises(ValueError, match="goes with unigram and dropout with BPE"):
        Encode.Config(sampling=0.1, dropout=0.1)


def test_documents_too_short_for_one_sequence_give_no_rows_and_no_error(encode, documents):
    ran = encode(documents({"a": "Hi."}), sequence_length=128)
    assert ran.rows() == []
    assert ran.context.counts["dropped_tokens"] > 0


# --- tokenizer.report -----------------------------------------------------------------------------

LINES = [
    ("eng_Latn", "deu_Latn", "The cat sat on the mat.", "Die Katze saß auf der Matte."),
    ("eng_Latn", "deu_Latn", "The dog sat by the door.", "Der Hund saß an der Tür."),
    ("eng_Latn", "ell_Grek", "The cat sat on the mat.", "Η γάτα κάθισε στο χαλί."),
]


@pytest.fixture
def report(run_stage, artifact, tokenizer):
    def report(lines):
        rows = [
            {"id": str(n), "group": "g", "source_language": source, "target_language": target,
             "source_text": here, "target_text": there, "source_sentences": [n],
             "target_sentences": [n], "score": 0.0, "edits": []}
            for n, (source, target, here, there) in enumerate(lines)
        ]  # fmt: skip
        return run_stage(Report, {"tokenizer": tokenizer, "bitext": artifact("bitext", rows)})

    return report


def test_premiums_of_the_reference_are_exactly_one_and_the_others_ratios_of_counts(
    report, tokenizer
):
    ran = report(LINES)
    value = {(row["id"], row["metric"]): row["value"] for row in ran.rows()}
    assert value["eng_Latn", "token_premium"] == value["eng_Latn", "byte_premium"] == 1.0
    tool = load(tokenizer)

    def tokens(texts):
        return sum(len(tool.encode(text).ids) for text in texts)

    german = tokens(line[3] for line in LINES[:2]) / tokens(line[2] for line in LINES[:2])
    assert value["deu_Latn", "token_premium"] == german
    # Each language is measured against the source side of its own beads, not of all beads.
    greek = tokens([LINES[2][3]]) / tokens([LINES[2][2]])
    assert value["ell_Grek", "token_premium"] == greek
    assert ran.context.metrics["token_premium.ell_Grek"] == greek
    assert value["ell_Grek", "byte_premium"] == len(LINES[2][3].encode()) / len(LINES[2][2])


def test_each_language_has_each_measure_once_and_no_text_is_lost(report):
    ran = report(LINES)
    measures = {"token_premium", "byte_premium", "fertility", "bytes_per_token",
                "characters_per_token"}  # fmt: skip
    assert sorted((row["id"], row["metric"]) for row in ran.rows()) == sorted(
        (language, name) for language in ("deu_Latn", "ell_Grek", "eng_Latn") for name in measures
    )
    assert all(math.isfinite(row["value"]) and row["weight"] > 0 for row in ran.rows())
    assert ran.context.metrics["round_trip_failures"] == 0


def test_a_sentence_aligned_with_several_languages_counts_once_in_the_reference(report, tokenizer):
    (row,) = [row for row in report(LINES).rows()
              if (row["id"], row["metric"]) == ("eng_Latn", "fertility")]  # fmt: skip
    tool = load(tokenizer)
    texts = {line[2] for line in LINES}
    assert row["weight"] == sum(len(tool.encode(text).ids) for text in texts)


def test_the_figure_is_a_png(report):
    figures = report(LINES).context.figures
    assert list(figures) == ["token_premiums"]
    assert figures["token_premiums"].startswith(b"\x89PNG\r\n\x1a\n")


def test_bitext_without_a_bead_is_a_clear_error(report):
    with pytest.raises(ValueError, match="there is no bitext to measure"):
        report([])


# --- tokenizer.compare ----------------------------------------------------------------------------


def test_tokenizers_are_compared_in_one_table_and_one_page(run_stage, sayings):
    given = [
        run_stage(Train, {"documents": sayings}, algorithm=name, vocab_size=290)[
            "tokenizer"
        ].of_cell(algorithm=name)
        for name in ("bpe", "picky_bpe")
    ]
    inputs = {"tokenizers": given, "documents": sayings}
    ran = run_stage(Compare, inputs, baseline="algorithm=bpe")
    value = {(row["id"], row["metric"]): row["value"] for row in ran.rows("measures")}
    assert value["algorithm=bpe", "nsl"] == value["algorithm=bpe", "overlap"] == 1.0
    assert value["algorithm=picky_bpe", "overlap"] < 1.0
    assert value["algorithm=picky_bpe", "round_trip_failures"] == 0
    report = {row["id"]: row["content"] for row in ran.rows("report")}
    assert "| measure | algorithm=bpe | algorithm=picky_bpe |" in report["report.md"].decode()
    assert report["page.png"].startswith(b"\x89PNG")
    assert list(ran.context.figures) == ["tokenizers"]
    with pytest.raises(ValueError, match="algorithm=lib"):
        run_stage(Compare, inputs, baseline="algorithm=lib")


def test_a_comparison_without_text_is_a_clear_error(run_stage, documents, tokenizer):
    with pytest.raises(ValueError, match="no text to compare"):
        run_stage(Compare, {"tokenizers": [tokenizer], "documents": documents({"a": ""})})


def test_one_tokenizer_has_the_measures_that_it_has_beside_others(run_stage, sayings, tokenizer):
    beside = run_stage(Compare, {"tokenizers": [tokenizer.of_cell(a=1)], "documents": sayings})
    alone = run_stage(Measures, {"tokenizer": tokenizer, "documents": sayings})
    compared = {row["metric"]: row["value"] for row in beside.rows("measures")}
    assert {row["metric"]: row["value"] for row in alone.rows("measures")} == {
        name: value for name, value in compared.items() if math.isfinite(value)
    }


def test_small_embeddings_of_rare_tokens_are_counted(run_stage, sayings, tokenizer, trained):
    inputs = {"tokenizer": tokenizer, "documents": sayings, "model": trained["model"]}
    found = {
        below: run_stage(Measures, inputs, undertrained_below=below).context.metrics
        for below in (1, 10**6)
    }
    # 2 % of the vocabulary is small, rounded up; below a million all of them are rare.
    ordinary = found[10**6]["undertrained"]
    assert found[10**6]["undertrained_embeddings"] == math.ceil(0.02 * ordinary)
    assert found[1]["undertrained_embeddings"] <= found[1]["undertrained"]
