"""A mean of scores is by their weights; that of a group has its name."""

from stages.evaluation_means import weighted_means

ROWS = [
    {"metric": "error", "value": 1.0, "weight": 1.0, "group": "near"},
    {"metric": "error", "value": 0.0, "weight": 3.0, "group": "far"},
    {"metric": "margin", "value": 2.0, "weight": 5.0, "group": "far"},
]


def test_a_mean_is_by_weight_over_all_rows_of_a_metric():
    assert weighted_means(ROWS) == {"error": 0.25, "margin": 2.0}


def test_groups_stand_beside_the_whole():
    assert weighted_means(ROWS, by_group=True) == {
        "error": 0.25,
        "near.error": 1.0,
        "far.error": 0.0,
        "margin": 2.0,
        "far.margin": 2.0,
    }


def test_no_rows_have_no_means():
    assert weighted_means([]) == {}
