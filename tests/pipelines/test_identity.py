"""What a result is: what must, and what must not, change a key."""

import datetime
import math
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.identity import (
    KeyParts,
    canonical_json,
    explain,
    hash_bytes,
    identity_config,
)
from stages.contract import Field, StageConfig, execution_field

# -- keys ------------------------------------------------------------------------------------------


PARTS = KeyParts(
    uses="corpus.clean",
    config={"min_chars": 200, "nested": {"a": 1, "b": [1, 2]}},
    code={"m:f": "01", "m:g": "02"},
    inputs={"documents": [({}, "d1")], "scores": [({"arm": "l"}, "s1"), ({"arm": "r"}, "s2")]},
    sources={"file:///a": "h1"},
)


def with_(**changes: Any) -> KeyParts:
    return KeyParts(**{**vars(PARTS), **changes})


CHANGES = {
    "the_type": with_(uses="corpus.split"),
    "a_config_field": with_(config={**PARTS.config, "min_chars": 201}),
    "a_nested_config_field": with_(config={**PARTS.config, "nested": {"a": 1, "b": [2, 1]}}),
    "a_new_config_field": with_(config={**PARTS.config, "more": 1}),
    "a_new_config_field_of_nothing": with_(config={**PARTS.config, "more": None}),
    "a_config_field_less": with_(config={"min_chars": 200}),
    "a_number_that_is_now_text": with_(config={**PARTS.config, "min_chars": "200"}),
    "a_function": with_(code={"m:f": "01", "m:g": "03"}),
    "a_new_function": with_(code={**PARTS.code, "m:h": "01"}),
    "a_function_less": with_(code={"m:f": "01"}),
    "an_input": with_(inputs={**PARTS.inputs, "documents": [({}, "d2")]}),
    "a_new_input": with_(inputs={**PARTS.inputs, "more": [({}, "d1")]}),
    "a_new_input_of_nothing": with_(inputs={**PARTS.inputs, "more": []}),
    "an_artifact_less": with_(inputs={**PARTS.inputs, "scores": [({"arm": "l"}, "s1")]}),
    "the_cells_of_gathered_inputs": with_(
        inputs={**PARTS.inputs, "scores": [({"arm": "r"}, "s1"), ({"arm": "l"}, "s2")]}
    ),
    "the_order_of_gathered_inputs": with_(
        inputs={**PARTS.inputs, "scores": PARTS.inputs["scores"][::-1]}
    ),
    "a_source": with_(sources={"file:///a": "h2"}),
    "a_new_source": with_(sources={**PARTS.sources, "file:///b": "h1"}),
    "a_source_under_another_address": with_(sources={"file:///b": "h1"}),
}


def test_the_same_making_has_the_same_key() -> None:
    assert with_().key == PARTS.key


def test_every_change_gives_a_key_of_its_own() -> None:
    keys = [PARTS.key, *(parts.key for parts in CHANGES.values())]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_is_explained(name: str) -> None:
    sentences = explain(PARTS, CHANGES[name])
    assert len(sentences) == 1
    assert explain(CHANGES[name], PARTS)


def test_the_order_of_mappings_changes_no_key() -> None:
    turned = KeyParts(
        PARTS.uses,
        {"nested": {"b": [1, 2], "a": 1}, "min_chars": 200},
        {"m:g": "02", "m:f": "01"},
        dict(reversed(PARTS.inputs.items())),
        dict(PARTS.sources),
    )
    assert turned.key == PARTS.key
    assert turned.key_without_code == PARTS.key_without_code
    assert explain(PARTS, turned) == []


def test_only_code_is_left_out_of_the_key_that_a_pinned_stage_is_found_by() -> None:
    same = {n for n, parts in CHANGES.items() if parts.key_without_code == PARTS.key_without_code}
    assert same == {"a_function", "a_new_function", "a_function_less"}
    assert PARTS.key != PARTS.key_without_code


def test_parts_survive_json_with_the_same_key() -> None:
    import json

    for parts in (PARTS, *CHANGES.values()):
        again = KeyParts.from_json(json.loads(json.dumps(parts.as_json())))
        assert again.key == parts.key
        assert again.key_without_code == parts.key_without_code
        assert explain(parts, again) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner,
                                                               max_size=2),
    max_leaves=5,
)  # fmt: skip
FLAT = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"), max_size=2)
ALL_PARTS = st.builds(
    KeyParts,
    uses=st.sampled_from(["u", "v"]),
    config=st.dictionaries(st.sampled_from("abc"), JSON, max_size=2),
    code=FLAT,
    inputs=st.dictionaries(
        st.sampled_from("ab"), st.lists(st.tuples(FLAT, st.sampled_from("xy")), max_size=2)
    ),
    sources=FLAT,
)


@given(ALL_PARTS, ALL_PARTS)
def test_an_explanation_is_empty_exactly_where_the_keys_are_equal(
    old: KeyParts, new: KeyParts
) -> None:
    assert (explain(old, new) == []) == (old.key == new.key)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("the_type", "the stage uses corpus.split, and used corpus.clean"),
        ("a_config_field", "config min_chars: 200 -> 201"),
        ("a_nested_config_field",
         'config nested: {"a": 1, "b": [1, 2]} -> {"a": 1, "b": [2, 1]}'),
        ("a_function", "code m:g changed"),
        ("a_new_function", "code m:h is new"),
        ("a_function_less", "code m:g is gone"),
        ("an_input", "input documents has other content"),
        ("an_artifact_less", "input scores has other content (2 -> 1 artifacts)"),
        ("a_source", "source changed: file:///a"),
    ],
)  # fmt: skip
def test_a_change_is_said_in_words(name: str, sentence: str) -> None:
    assert explain(PARTS, CHANGES[name]) == [sentence]


def test_all_changes_are_said_and_many_sources_are_summed_up() -> None:
    new = KeyParts("b", {"x": "long " * 40}, {"m:f": "2"}, {}, dict.fromkeys("abcdef", "h"))
    sentences = explain(KeyParts("a", {}, {"m:f": "1"}, {}, {}), new)
    assert len(sentences) == 4
    assert sentences[1].endswith("...")
    assert len(sentences[1]) < 100
    assert sentences[-1] == "source changed: a, b, c and 3 more"


# -- configs ---------------------------------------------------------------------------------------


class Config(StageConfig):
    steps: int = Field(3, description="how many")
    method: Literal["a", "b"] = Field("a", description="which")
    limit: float = Field(math.inf, description="how far")
    log_every: int = execution_field(5, description="how often", why="it only looks")


def test_an_execution_field_is_no_part_of_the_identity_and_a_default_is() -> None:
    assert identity_config(Config()) == {"steps": 3, "method": "a", "limit": math.inf}
    assert identity_config(Config(log_every=9)) == identity_config(Config())
    assert identity_config(Config(steps=3)) == identity_config(Config())
    assert identity_config(Config(steps=4)) != identity_config(Config())


def test_a_config_survives_the_way_to_a_worker() -> None:
    for config in (Config(), Config(limit=0.1, log_every=7)):
        sent = canonical_json(config.model_dump(mode="json"))
        assert Config.model_validate_json(sent) == config


# -- the one way to write a value ------------------------------------------------------------------


@given(JSON, JSON)
def test_canonical_json_is_equal_exactly_where_values_are(one: Any, other: Any) -> None:
    import json

    # Text tells True from 1 and 1 from 1.0, which Python's == does not.
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (canonical_json(one) == canonical_json(other)) == same


@pytest.mark.parametrize("value", [{1, 2}, b"x", object(), datetime.date(2024, 1, 1)])
def test_what_json_cannot_say_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        canonical_json({"a": value})


@given(st.lists(st.binary(max_size=3), max_size=4), st.lists(st.binary(max_size=3), max_size=4))
def test_hash_bytes_keeps_its_parts_apart(one: list[bytes], other: list[bytes]) -> None:
    assert (hash_bytes(*one) == hash_bytes(*other)) == (one == other)
