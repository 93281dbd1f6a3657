"""A report sees what went into its arms differently, and its key holds what it sees."""

import json

import pytest
from toy_project import Project, states

from pipelines.provenance import differing, provenance_hashes

TELL = '''


class Tell(Stage):
    """What went into what it is given."""

    inputs = {"scores": Input(Kind.DOCUMENTS, "of all cells", many=True, provenance=True),
              "beside": Input(Kind.DOCUMENTS, "of all cells", many=True, optional=True)}
    outputs = {"metrics": Output(Kind.METRICS, "a row a cell")}

    def run(self, inputs, outputs, context):
        import json

        assert all(not artifact.provenance for artifact in inputs.get("beside", []))
        outputs["metrics"].write(pa.Table.from_pylist(
            [{"id": json.dumps(a.provenance), "metric": "told", "value": 0.0, "weight": 1.0,
              "group": a.cell["arm"]} for a in inputs["scores"]], METRICS))
'''

DAG = """
    pipeline: told
    stages:
      letters: {uses: toy_words:Make, with: {letters: abcd}}
      same: {uses: toy_words:Sort, needs: {documents: letters}}
      loud:
        uses: toy_words:Upper
        matrix: {arm: [plain, marked]}
        needs: {documents: {by: arm, marked: same, else: letters}}
        with: {suffix: {by: arm, marked: "!", else: ""}}
      told: {uses: toy_words:Tell, needs: {scores: loud, beside: loud}}
"""


@pytest.fixture
def told(tmp_path, own_modules_are_forgotten):
    """`told(dag)` -> what the last stage was told of each arm, and the states of all stages."""
    project = Project(tmp_path, own_modules_are_forgotten)
    project.edit_stages(lambda text: text + TELL)

    def told(dag=DAG):
        statuses = project.run(dag)
        rows = project.store.table(statuses["told"].outputs["metrics"]).to_pylist()
        return {row["group"]: json.loads(row["id"]) for row in rows}, states(statuses)

    return told


def test_an_arm_says_what_went_into_it_and_not_into_the_others(told):
    found, _ = told()
    assert found["plain"]["loud"]["config"] == {"suffix": [""]}
    assert found["marked"]["loud"]["config"] == {"suffix": ["!"]}
    (given,) = found["marked"]["loud"]["input"]["documents"]
    assert (given["kind"], given["stage"]) == ("documents", "same")
    assert found["marked"]["same"]["uses"] == {"": ["toy_words:Sort"]}
    assert "same" not in found["plain"]
    assert "letters" not in found["plain"]


def test_a_second_run_reuses_what_was_told(told):
    first, _ = told()
    again, became = told()
    assert again == first
    assert set(became.values()) == {"reused"}


def test_a_setting_that_all_arms_share_and_that_changes_no_bytes_wakes_nobody(told):
    told()
    _, became = told(DAG.replace("letters: abcd}", "letters: abcd, seed: 7}"))
    assert became["letters"] == "computed"
    assert became["told"] == "reused"


def test_a_setting_of_one_arm_is_in_the_key_although_its_bytes_are_the_same(told):
    told()
    dag = DAG.replace('suffix: {by: arm, marked: "!", else: ""}',
                      'suffix: {by: arm, marked: "!", else: ""}, '
                      'fails_at: {by: arm, marked: "never", else: ""}')  # fmt: skip
    found, became = told(dag)
    assert became["told"] == "computed"
    assert found["marked"]["loud"]["config"]["fails_at"] == ["never"]


FACTS = [
    {("model", "config", "weighting"): ["uniform"], ("model", "config", "steps"): [3]},
    {("model", "config", "weighting"): ["linupper"], ("model", "config", "steps"): [3],
     ("edited", "uses", ""): ["editing.resample"]},
]  # fmt: skip


def test_only_what_differs_is_kept_and_what_is_missing_stays_missing():
    plain, edited = differing(FACTS)
    assert plain == {"model": {"config": {"weighting": ["uniform"]}}}
    assert edited == {
        "model": {"config": {"weighting": ["linupper"]}},
        "edited": {"uses": {"": ["editing.resample"]}},
    }


def test_one_artifact_alone_differs_from_nothing():
    assert differing(FACTS[:1]) == [{}]
    assert differing([]) == []


def test_the_hash_tells_which_artifact_has_which_difference():
    found = differing(FACTS)
    one = provenance_hashes({"scores": found})
    assert one == provenance_hashes({"scores": differing(FACTS)})
    assert one != provenance_hashes({"scores": found[::-1]})
    assert provenance_hashes({}) == {}
