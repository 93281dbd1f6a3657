"""Counting, sweeping, premiums, fitted sizes: shared work changes nothing, premiums are ratios."""

import math

import pytest

from operators.tokenization import TokenizerConfig, TokenizerModel
from operators.tokenization.laboratory import train_tokenizer
from stages.tokenizer_fair_sizes import FairSizes
from stages.tokenizer_fairness import Fairness
from stages.tokenizer_premiums import Premiums
from stages.tokenizer_sweep import Count, Sweep

LANGUAGES = {"aaa_Latn": 1, "eng_Latn": 4, "zzz_Latn": 12}
ALGORITHMS = ["bpe", "wordpiece", "unigram", "picky_bpe", "superbpe", "lib"]


ENDINGS = ["", "em", "ost", "ulfi", "ak", "nuri", "wes", "yth", "ombra", "zig", "quod", "ebri"]


@pytest.fixture(scope="module")
def parallel(documents, prose):
    """Sentences in three made-up languages; the later ones have more endings to their words."""

    def make(first=0, last=40, shards=3):
        def inflected(number, endings):
            words = prose(number, 12).split()
            chosen = [ENDINGS[(7 * number + 3 * place) % endings] for place in range(len(words))]
            return " ".join(word + ending for word, ending in zip(words, chosen, strict=True))

        return documents(
            {
                f"{language}#{number}": {
                    "text": inflected(number, endings),
                    "language": language,
                    "group": str(number),
                }
                for language, endings in LANGUAGES.items()
                for number in range(first, last)
            },
            shards=shards,
        )

    return make


@pytest.fixture(scope="module")
def counts(run_stage, parallel):
    names = ["gpt2", "superbpe-stage2"]
    return run_stage(Count, {"documents": parallel()}, pretokenizers=names)["counts"]


@pytest.fixture(scope="module")
def sweep(run_stage, counts):
    return run_stage(
        Sweep, {"counts": counts}, algorithms=["bpe"], vocab_sizes=[280, 300, 330, 360]
    )["tokenizers"]


@pytest.fixture(scope="module")
def premiums(run_stage, sweep, parallel):
    return run_stage(Premiums, {"tokenizers": sweep, "parallel": parallel(40, 60)})


def texts_of(artifact, language):
    return [row["text"] for row in artifact.table().to_pylist() if row["language"] == language]


# --- tokenizer.count ------------------------------------------------------------------------------


def test_counts_of_shards_add_up_to_those_of_the_whole(run_stage, parallel, counts):
    from operators.tokenization import count_pretokens

    rows = {row["id"]: row for row in counts.table().to_pylist()}
    assert sorted(rows) == sorted(f"{language} {name}" for language in LANGUAGES
                                  for name in ("gpt2", "superbpe-stage2"))  # fmt: skip
    for language in LANGUAGES:
        whole = count_pretokens(texts_of(parallel(), language), "gpt2")
        assert rows[f"{language} gpt2"]["pretokens"] == list(whole.pretokens)
        assert rows[f"{language} gpt2"]["counts"] == whole.counts.tolist()
    again = run_stage(
        Count, {"documents": parallel(shards=7)}, pretokenizers=["gpt2", "superbpe-stage2"]
    )["counts"]
    assert again.table().equals(counts.table())


def test_a_wrong_pretokenizer_is_refused_with_the_config():
    with pytest.raises(ValueError, match=r"\[x"):
        Count.Config(pretokenizers=["gpt2", "[x"])
    with pytest.raises(ValueError, match="twice"):
        Count.Config(pretokenizers=["gpt2", "gpt2"])


# --- tokenizer.sweep ------------------------------------------------------------------------------


def test_each_tokenizer_of_a_sweep_is_the_one_trained_alone(run_stage, counts, parallel):
    ran = run_stage(Sweep, {"counts": counts}, algorithms=ALGORITHMS, vocab_sizes=[290, 320])
    rows = ran.rows()
    assert len(rows) == len({row["id"] for row in rows}) == 3 * 6 * 2
    assert ran.context.metrics["tokenizers"] == 36
    for row in rows:
        if row["language"] != "zzz_Latn":
            continue
        config = TokenizerModel.from_json(row["model"]).config
        alone = train_tokenizer(texts_of(parallel(), row["language"]), config)
        assert alone.model.to_json() == row["model"]
        assert (row["asked"], row["vocab_size"]) == (config.vocab_size, alone.vocab_size)


def test_sizes_come_from_the_settings_or_the_input_never_both(run_stage, counts, artifact):
    with pytest.raises(ValueError, match="either vocab_sizes or the input sizes"):
        run_stage(Sweep, {"counts": counts})
    sizes = artifact(
        "metrics",
        [{"id": "eng_Latn", "metric": "vocab_size", "value": 300.0, "weight": 1.0, "group": "g"}],
    )
    with pytest.raises(ValueError, match="either vocab_sizes or the input sizes"):
        run_stage(Sweep, {"counts": counts, "sizes": sizes}, vocab_sizes=[300])
    with pytest.raises(ValueError, match="no vocab_size for aaa_Latn, zzz_Latn"):
        run_stage(Sweep, {"counts": counts, "sizes": sizes})


def test_pretokens_that_were_not_counted_are_named_with_the_cure(run_stage, counts):
    with pytest.raises(ValueError, match=r"'gpt4' were not counted.*tokenizer\.count"):
        run_stage(Sweep, {"counts": counts}, pretokenizers=["gpt4"], vocab_sizes=[300])


def test_a_size_below_the_alphabet_is_refused_with_the_config():
    with pytest.raises(ValueError, match="vocab_sizes has 200"):
        Sweep.Config(vocab_sizes=[300, 200])


# --- tokenizer.premiums ---------------------------------------------------------------------------


def test_premiums_are_ratios_of_counts_and_the_reference_pays_one(premiums, sweep, parallel):
    value = {(row["id"], row["asked"], row["metric"]): row["value"] for row in premiums.rows()}
    models = {(row["language"], row["asked"]): row["model"] for row in sweep.table().to_pylist()}
    from operators.tokenization.tokenizer import Tokenizer

    for size in (280, 300, 330, 360):
        assert value["eng_Latn", size, "token_premium"] == 1.0
        assert value["eng_Latn", size, "byte_premium"] == 1.0
        for language in LANGUAGES:
            tokenizer = Tokenizer(TokenizerModel.from_json(models[language, size]))
            text = " ".join(texts_of(parallel(40, 60), language))
            assert value[language, size, "tokens"] == len(tokenizer.encode(text))
            assert value[language, size, "token_premium"] == (
                value[language, size, "tokens"] / value["eng_Latn", size, "tokens"]
            )


def test_adding_vocabulary_never_adds_tokens(premiums):
    for language in LANGUAGES:
        tokens = [row["value"] for row in sorted(premiums.rows(), key=lambda row: row["asked"])
                  if (row["id"], row["metric"]) == (language, "tokens")]  # fmt: skip
        assert tokens == sorted(tokens, reverse=True)


def test_text_that_is_not_parallel_is_refused(run_stage, sweep, documents, parallel):
    rows = parallel(40, 60).table().to_pylist()
    lacking = {row["id"]: {k: row[k] for k in ("text", "language", "group")} for row in rows
               if row["id"] != "zzz_Latn#41"}  # fmt: skip
    with pytest.raises(ValueError, match=r'zzz_Latn do not translate.*such as "41"'):
        run_stage(Premiums, {"tokenizers": sweep, "parallel": documents(lacking)})
    only = {id_: row for id_, row in lacking.items() if row["language"] != "zzz_Latn"}
    with pytest.raises(ValueError, match="no sentences to measure zzz_Latn"):
        run_stage(Premiums, {"tokenizers": sweep, "parallel": documents(only)})
    with pytest.raises(ValueError, match="the reference deu_Latn has no tokenizer"):
        run_stage(
            Premiums, {"tokenizers": sweep, "parallel": parallel(40, 60)}, reference="deu_Latn"
        )


# --- tokenizer.fair_sizes, tokenizer.fairness -----------------------------------------------------


def measures(artifact, tokens):
    """Measures of `tokenizer.premiums`: language -> size -> tokens."""
    import pyarrow as pa

    from stages.tokenizer_premiums import MEASURED

    rows = [
        {"id": language, "metric": "tokens", "value": float(count), "weight": 1.0, "group": "g",
         "algorithm": "bpe", "pretokenizer": "gpt2", "asked": asked, "vocab_size": size}
        for language, counts in tokens.items()
        for (asked, size), count in counts.items()
    ]  # fmt: skip
    made = artifact("metrics", [])
    made.shards = [pa.Table.from_pylist(rows, MEASURED)]
    return made


def law(a, b, sizes):
    return {(size, size): a * size**b for size in sizes}


def test_the_size_of_each_language_is_that_of_the_law(run_stage, artifact):
    sizes = (8192, 16384, 32768)
    given = measures(
        artifact,
        {"eng_Latn": law(294853.84, -0.12, sizes), "mya_Mymr": law(400000, -0.12, sizes)},
    )
    ran = run_stage(FairSizes, {"measures": given}, target=80000.0, largest=10**6)
    value = {(row["id"], row["metric"]): row["value"] for row in ran.rows()}
    assert value["eng_Latn", "vocab_size"] == pytest.approx(52598.5, abs=1)
    assert value["eng_Latn", "b"] == pytest.approx(-0.12)
    assert value["eng_Latn", "a"] == pytest.approx(294853.84)
    assert value["mya_Mymr", "vocab_size"] > 10 * value["eng_Latn", "vocab_size"]
    assert value["eng_Latn", "extrapolated"] == 1.0
    assert value["eng_Latn", "clamped"] == 0.0
    assert ran.context.figures["size_laws"].startswith(b"\x89PNG")


def test_a_language_whose_text_ended_gets_no_larger_size_and_that_is_said(run_stage, artifact):
    short = {(512, 512): 9000.0, (1024, 900): 8000.0}
    given = measures(
        artifact, {"eng_Latn": law(20000, -0.2, (512, 1024)), "dzo_Tibt": short}
    )  # fmt: skip
    ran = run_stage(FairSizes, {"measures": given}, target="reference", at_size=1024)
    value = {(row["id"], row["metric"]): row["value"] for row in ran.rows()}
    assert value["eng_Latn", "vocab_size"] == 1024
    assert value["dzo_Tibt", "vocab_size"] == 900
    assert value["dzo_Tibt", "clamped"] == 1.0
    assert ran.context.metrics["clamped"] == 1


def test_wrong_sizes_and_measures_are_named(run_stage, artifact, premiums):
    given = {"measures": premiums["measures"]}
    with pytest.raises(ValueError, match=r"at_size is 1000.*\[280, 300, 330, 360\]"):
        run_stage(FairSizes, given, at_size=1000)
    with pytest.raises(ValueError, match="no measures of unigram gpt2, only of bpe gpt2"):
        run_stage(FairSizes, given, algorithm="unigram")
    other = artifact("metrics", [])
    with pytest.raises(ValueError, match=r"no measures of tokenizer\.premiums"):
        run_stage(FairSizes, {"measures": other})
    with pytest.raises(ValueError, match="must be > 0 tokens"):
        FairSizes.Config(target=-1.0)


def test_the_whole_way_makes_languages_more_equal(run_stage, counts, parallel, premiums):
    sizes = run_stage(FairSizes, {"measures": premiums["measures"]}, at_size=330)["sizes"]
    fitted = run_stage(Sweep, {"counts": counts, "sizes": sizes}, algorithms=["bpe"])["tokenizers"]
    after = run_stage(Premiums, {"tokenizers": fitted, "parallel": parallel(40, 60)})["measures"]
    assert {row["group"] for row in after.table().to_pylist()} == {"bpe gpt2 sizes of their own"}
    assert len([row for row in after.table().to_pylist() if row["metric"] == "token_premium"]) == 3
    inputs = {"uniform": premiums["measures"], "fitted": after, "sizes": sizes}
    ran = run_stage(Fairness, inputs, at_size=330)
    told = ran.context.metrics
    assert told["variance_after"] < told["variance_before"]
    assert told["f"] == pytest.approx(told["variance_before"] / told["variance_after"])
    assert 0 < told["p_value"] <= 1
    assert told["log_f_low"] < told["log_f"] < told["log_f_high"]
    assert (told["log_f_low"] > 0) == (told["p_value"] < 0.05)
    assert told["paired_log_f"] == pytest.approx(told["log_f"])
    assert told["paired_log_f_low"] < told["paired_log_f"] < told["paired_log_f_high"]
    assert (told["paired_log_f_low"] > 0) == (told["paired_p_value"] < 0.05)
    report = {row["id"]: row["content"] for row in ran.rows("report")}
    text = report["report.md"].decode()
    assert f"F(2, 2) = {told['f']:.3g}" in text
    verdict = "variance fell" if told["p_value"] < 0.05 else "the test does not show"
    assert verdict in text
    assert "as pairs, since the same languages are in both" in text.lower()
    assert report["fairness.png"].startswith(b"\x89PNG")
    assert all(math.isfinite(row["value"]) for row in ran.rows("measures"))


def test_a_variance_that_did_not_change_is_not_called_a_fall(run_stage, artifact):
    same = measures(artifact, {"eng_Latn": law(90, -0.1, (300,)), "a": law(80, -0.1, (300,)),
                               "b": law(70, -0.1, (300,))})  # fmt: skip
    ran = run_stage(Fairness, {"uniform": same, "fitted": same}, at_size=300)
    text = {row["id"]: row["content"] for row in ran.rows("report")}["report.md"].decode()
    assert "the test does not show that variances differ" in text
    assert ran.context.metrics["p_value"] == pytest.approx(1.0)


def test_two_algorithms_at_one_size_are_compared_under_their_names(run_stage, artifact):
    rows = {"eng_Latn": law(90, -0.1, (300, 400)), "a": law(80, -0.1, (300, 400))}
    given = measures(artifact, rows)
    ran = run_stage(
        Fairness, {"uniform": given, "fitted": given}, at_size=300, fitted_algorithm="bpe",
        fitted_at_size=400,
    )  # fmt: skip
    text = {row["id"]: row["content"] for row in ran.rows("report")}["report.md"].decode()
    assert "with bpe, 400 ids each" in text
    with pytest.raises(ValueError, match="no measures of superbpe gpt2, only of bpe gpt2"):
        run_stage(Fairness, {"uniform": given, "fitted": given}, at_size=300,
                  fitted_algorithm="superbpe")  # fmt: skip


def test_languages_of_one_side_only_are_named(run_stage, artifact):
    here = measures(artifact, {"eng_Latn": law(90, -0.1, (300,)), "a": law(80, -0.1, (300,))})
    there = measures(artifact, {"eng_Latn": law(90, -0.1, (300,)), "b": law(80, -0.1, (300,))})
    with pytest.raises(ValueError, match="a, b are measured at one of"):
        run_stage(Fairness, {"uniform": here, "fitted": there}, at_size=300)
    with pytest.raises(ValueError, match="no tokenizers of the size at_size 400"):
        run_stage(Fairness, {"uniform": here, "fitted": here}, at_size=400)


def test_a_config_for_superbpe_keeps_its_share_of_words(run_stage):
    config = Sweep.Config(algorithms=["superbpe"], vocab_sizes=[1000], transition=0.5)
    asked = config.tokenizer_config("superbpe", 1000, "gpt2")
    assert asked == TokenizerConfig(
        algorithm="superbpe", vocab_size=1000, pretokenizer="gpt2", transition_size=500
    )


def test_several_sizes_after_ask_which_one_is_meant(run_stage, premiums):
    inputs = {"uniform": premiums["measures"], "fitted": premiums["measures"]}
    message = r"fitted has several tokenizers of .*\[280, 300, 330, 360\].*fitted_at_size"
    with pytest.raises(ValueError, match=message):
        run_stage(Fairness, inputs, at_size=330)
