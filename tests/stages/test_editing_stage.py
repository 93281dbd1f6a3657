"""editing.resample: what is edited is told exactly, and nothing else is touched."""

import pyarrow as pa
import pytest

from stages.editing import Resample
from stages.tokenizer_files import end_of_text_id, load_tokenizer

# The tiny prior is never quite certain; at this threshold it finds many tokens to draw again.
SETTINGS = {"threshold": 0.2, "temperature": 2.0, "device": "cpu", "batch_size": 8, "seed": 5}


@pytest.fixture(scope="module")
def resample(run_stage, trained):
    def resample(given, **settings):
        inputs = {"tokens": given, "model": trained["model"]}
        return run_stage(Resample, inputs, **{**SETTINGS, **settings})

    return resample


@pytest.fixture(scope="module")
def edited(resample, tokens):
    return resample(tokens)


@pytest.fixture(scope="module")
def end_of_text(tokenizer):
    return end_of_text_id(load_tokenizer(tokenizer))


def test_the_edits_column_says_exactly_what_differs(edited, tokens):
    changed = 0
    for before, after in zip(tokens.table().to_pylist(), edited.rows(), strict=True):
        pairs = enumerate(zip(before["tokens"], after["tokens"], strict=True))
        differing = [{"position": n, "before": a, "after": b} for n, (a, b) in pairs if a != b]
        assert after["edits"] == differing
        changed += len(differing)
    assert changed > 20, "the test edits too little to mean anything"
    assert edited.context.counts["changed"] == changed


def test_an_edited_row_keeps_its_id_and_its_boundaries(edited, tokens):
    kept = ("id", "documents", "starts")
    assert [{name: row[name] for name in kept} for row in edited.rows()] == [
        {name: row[name] for name in kept} for row in tokens.table().to_pylist()
    ]


def test_a_threshold_above_one_gives_the_same_rows_to_the_bit(resample, tokens):
    ran = resample(tokens, threshold=1.01)
    assert ran["tokens"].table().equals(tokens.table())
    assert ran.context.counts["changed"] == ran.context.counts["eligible"] == 0
    assert ran.context.metrics["changed_share"] == 0


def test_the_end_of_text_is_never_touched_and_never_drawn(edited, tokens, end_of_text):
    seen = 0
    for before, after in zip(tokens.table().to_pylist(), edited.rows(), strict=True):
        for a, b in zip(before["tokens"], after["tokens"], strict=True):
            assert (a == end_of_text) == (b == end_of_text)
            seen += a == end_of_text
    assert seen > 10


def test_the_first_token_of_a_sequence_is_never_touched(edited):
    assert all(edit["position"] > 0 for row in edited.rows() for edit in row["edits"])


@pytest.mark.parametrize("shard_rows", [1, 5, 1000])
def test_rows_do_not_depend_on_the_division_into_shards(resample, edited, tokens, shard_rows):
    ran = resample(tokens.in_shards_of(shard_rows))
    by_id = {row["id"]: row for row in ran.rows()}
    assert by_id == {row["id"]: row for row in edited.rows()}
    assert ran.context.counts == edited.context.counts
    assert ran.context.metrics == edited.context.metrics


def test_rows_do_not_depend_on_each_others_order(resample, edited, tokens, artifact):
    rows = list(reversed(tokens.table().to_pylist()))
    ran = resample(artifact("tokens", rows))
    assert list(reversed(ran.rows())) == edited.rows()


def test_the_same_seed_draws_the_same_and_another_seed_another(resample, edited, tokens):
    assert resample(tokens).rows() == edited.rows()
    assert resample(tokens, seed=6).rows() != edited.rows()


def test_of_the_eligible_tokens_not_all_are_drawn_and_few_change(edited, tokens):
    counts = edited.context.counts
    assert counts["tokens"] == 16 * tokens.rows
    assert 0 < counts["changed"] < counts["drawn"] <= counts["eligible"] < counts["tokens"]
    for name in ("eligible", "drawn", "changed"):
        assert edited.context.metrics[f"{name}_share"] == counts[name] / counts["tokens"]


def test_edits_of_an_earlier_round_stay_before_those_of_this_one(resample, edited):
    again = resample(edited["tokens"], seed=9)
    assert any(row["edits"] for row in edited.rows())
    for before, after in zip(edited.rows(), again.rows(), strict=True):
        count = len(before["edits"])
        assert after["edits"][:count] == before["edits"]
        assert len(after["edits"]) - count == sum(
            a != b for a, b in zip(before["tokens"], after["tokens"], strict=True)
        )


def test_a_sequence_longer_than_the_priors_context_is_read_in_windows(
    resample, run_stage, sayings, tokenizer, trained, monkeypatch
):
    from stages.tokenizer import Encode

    inputs = {"documents": sayings, "tokenizer": tokenizer}
    long = run_stage(Encode, inputs, sequence_length=40)["tokens"]
    from operators.editing import prior_passes

    lengths = set()
    real = prior_passes.next_token_logits

    def watched(model, input_ids):
        lengths.add(input_ids.shape[1])
        return real(model, input_ids)

    monkeypatch.setattr(prior_passes, "next_token_logits", watched)
    ran = resample(long)
    assert max(lengths) == 16, "the prior was trained on 16 tokens"
    assert max(edit["position"] for row in ran.rows() for edit in row["edits"]) > 16


# Dropping, protected spans, rows of many lengths.


def without_dropped(before, edits):
    gone = {edit["position"] for edit in edits if edit["after"] == -1}
    drawn = {edit["position"]: edit["after"] for edit in edits if edit["after"] != -1}
    return [drawn.get(n, token) for n, token in enumerate(before) if n not in gone]


def test_dropped_tokens_are_told_and_shorten_their_row(resample, tokens, end_of_text):
    ran = resample(tokens, drop_below=0.1)
    dropped = 0
    for before, after in zip(tokens.table().to_pylist(), ran.rows(), strict=True):
        assert after["tokens"] == without_dropped(before["tokens"], after["edits"])
        assert after["tokens"][0] == before["tokens"][0]
        assert after["documents"] == before["documents"]
        # A piece begins with its end-of-text token still, but where it was cut or at the row's end.
        for start, earlier in zip(after["starts"], before["starts"], strict=True):
            assert after["tokens"][start : start + 1] == before["tokens"][
                earlier : earlier + 1
            ] or (before["tokens"][earlier] != end_of_text)
        dropped += sum(edit["after"] == -1 for edit in after["edits"])
    assert ran.context.counts["dropped"] == dropped > 20
    assert ran.context.metrics["dropped_share"] == dropped / ran.context.counts["tokens"]


def test_filtering_drops_only_and_a_second_round_takes_rows_of_many_lengths(resample, tokens):
    filtered = resample(tokens, threshold=1.01, drop_below=0.1)
    assert {edit["after"] for row in filtered.rows() for edit in row["edits"]} == {-1}
    assert len({len(row["tokens"]) for row in filtered.rows()}) > 2
    again = resample(filtered["tokens"])
    lengths = [len(row["tokens"]) for row in filtered.rows()]
    assert [len(row["tokens"]) for row in again.rows()] == lengths
    assert again.context.counts["tokens"] == sum(lengths)
    assert again.context.counts["changed"] > 0
    assert resample(filtered["tokens"].in_shards_of(3)).rows() == again.rows()


def test_protected_spans_are_eligible_but_never_drawn(resample, tokens, edited, tokenizer):
    opened = load_tokenizer(tokenizer)
    ran = resample(tokens, protected=["names", "[Tt]he"])
    assert ran.context.counts["eligible"] == edited.context.counts["eligible"]
    assert ran.context.counts["drawn"] < edited.context.counts["drawn"]
    for row in ran.rows():
        assert all(opened.tokens[edit["before"]].strip() != b"the" for edit in row["edits"])
    free = {(row["id"], edit["position"]): edit for row in edited.rows() for edit in row["edits"]}
    for row in ran.rows():
        for edit in row["edits"]:
            assert free[row["id"], edit["position"]] == edit, "another draw changed"


def test_a_flag_for_each_token_goes_along(resample, tokens):
    flags = [[n % 2 == 0 for n in range(16)]] * tokens.rows
    flagged = tokens.table().append_column("scored", pa.array(flags, pa.list_(pa.bool_())))
    ran = resample(type(tokens)(tokens.kind, [flagged]), drop_below=0.1)
    for row in ran.rows():
        gone = {edit["position"] for edit in row["edits"] if edit["after"] == -1}
        assert row["scored"] == [n % 2 == 0 for n in range(16) if n not in gone]


@pytest.mark.parametrize("name", ["inputs", "reference_losses"])
def test_what_would_no_longer_fit_is_refused(resample, tokens, name):
    values = pa.array([[1] * 16] * tokens.rows, pa.list_(pa.int32()))
    stale = type(tokens)(tokens.kind, [tokens.table().append_column(name, values)])
    with pytest.raises(ValueError, match=f'column "{name}"'):
        resample(stale)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"drop_below": 0.5}, "above the threshold 0.2"),
        ({"protected": ["("]}, "nor a regex"),
        ({"sampling": "beam"}, "sampling"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Resample.Config(**{**SETTINGS, **settings})


def test_a_shard_without_rows_stays_one(resample, artifact):
    ran = resample(artifact("tokens", []))
    assert ran.rows() == []
    assert ran.context.metrics == {}
