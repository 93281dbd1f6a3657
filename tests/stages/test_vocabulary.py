"""What holds of every stage: it explains itself, and its declarations are consistent."""

import inspect
import re

import pytest

from pipelines.describe import describe_stage
from pipelines.registry import vocabulary
from stages.compute_settings import ComputeSettings
from stages.contract import Input, Output, RowStage, StageConfig
from stages.kinds import Kind

WORDS = list(vocabulary())
FAMILIES = {"corpus", "alignment", "correction", "tokenizer", "editing", "semantics", "weighting",
            "training", "transfer", "evaluation", "report", "speech", "tasks"}  # fmt: skip


@pytest.fixture(params=WORDS)
def stage(request):
    return vocabulary()[request.param]


def test_the_vocabulary_holds_the_stages_of_the_first_pipeline():
    assert {
        "corpus.documents", "corpus.filter", "corpus.clean", "corpus.split", "alignment.sentences",
        "tokenizer.train", "tokenizer.encode", "tokenizer.report", "training.language_model",
        "editing.resample", "evaluation.language_model", "report.compare",
    } <= set(WORDS)  # fmt: skip


def test_a_word_is_a_family_and_a_name_and_its_module_is_the_family(stage):
    family, name = stage.word.split(".")
    assert family in FAMILIES
    assert re.fullmatch(r"[a-z][a-z_]*", name)
    assert re.fullmatch(rf"stages\.{family}(_[a-z_]+)?", stage.__module__)


def test_a_stage_says_in_a_docstring_of_its_own_what_it_does(stage):
    assert "__doc__" in vars(stage)
    summary = inspect.cleandoc(stage.__doc__).split("\n\n")[0]
    assert summary.endswith(".")
    assert len(summary) > 20


def test_every_setting_has_a_description(stage):
    for name, field in stage.Config.model_fields.items():
        assert field.description, f"{stage.word}: {name}"
        assert not field.description.endswith("."), f"{stage.word}: {name}"


def test_a_setting_that_is_no_part_of_the_key_says_why(stage):
    for name, field in stage.Config.model_fields.items():
        extra = field.json_schema_extra or {}
        assert set(extra) <= {"execution_only"}, f"{stage.word}: {name}"
        if extra:
            assert len(extra["execution_only"]) > 20, f"{stage.word}: {name}"


def test_settings_are_typed_frozen_and_closed(stage):
    assert issubclass(stage.Config, StageConfig)
    assert stage.Config.model_config["extra"] == "forbid"
    assert stage.Config.model_config["frozen"]


def test_inputs_and_outputs_have_a_kind_and_a_description(stage):
    assert stage.outputs
    for name, declared in {**stage.inputs, **stage.outputs}.items():
        assert isinstance(declared, Input | Output), f"{stage.word}: {name}"
        assert isinstance(declared.kind, Kind), f"{stage.word}: {name}"
        assert declared.description, f"{stage.word}: {name}"


def test_what_a_stage_conserves_it_takes_and_gives(stage):
    if stage.conserves is not None:
        taken, given = stage.conserves
        assert taken in stage.inputs
        assert set(given) <= set(stage.outputs)
        assert given


def test_a_row_stage_takes_one_artifact_of_rows_first(stage):
    if issubclass(stage, RowStage):
        first = next(iter(stage.inputs.values()))
        assert first.kind not in (Kind.MODEL, Kind.TOKENIZER)
        assert not first.many
        assert not first.optional


def test_what_draws_at_random_has_a_seed_that_the_pipeline_sets():
    seeded = {word for word in WORDS if "seed" in vocabulary()[word].Config.model_fields}
    assert {"corpus.split", "training.language_model", "editing.resample", "report.compare"} <= (
        seeded
    )


def test_what_a_model_runs_on_is_declared_once(stage):
    if ComputeSettings.model_fields.keys() & stage.Config.model_fields.keys():
        assert issubclass(stage.Config, ComputeSettings)


def test_what_a_model_runs_on_is_shown_behind_the_settings_of_the_stage(stage):
    shown = [setting["name"] for setting in describe_stage(stage)["settings"]]
    assert sorted(shown) == sorted(stage.Config.model_fields)
    if issubclass(stage.Config, ComputeSettings):
        assert shown[-2:] == ["threads", "device"]


def test_the_order_of_float_sums_is_part_of_the_key():
    for word in ("training.language_model", "editing.resample", "evaluation.language_model"):
        field = vocabulary()[word].Config.model_fields["threads"]
        assert not field.json_schema_extra
