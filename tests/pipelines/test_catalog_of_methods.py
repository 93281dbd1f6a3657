"""The DAGs of the catalog on semantic change and on code-switched errors plan without a mistake."""

from pathlib import Path

import pytest

from pipelines.planner import make_plan
from pipelines.spec import read_dag

CATALOG = Path(__file__).parents[2] / "pipelines" / "catalog"


@pytest.mark.parametrize(
    ("name", "word"),
    [("semantic-shift", "semantics.shift"), ("code-switched-gec", "correction.statistics")],
)
def test_a_catalog_dag_plans_up_to_its_result(name, word):
    plan = make_plan(read_dag(CATALOG / f"{name}.yaml"))
    assert plan.stages[-1].word == word
