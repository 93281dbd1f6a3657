"""corpus.filter: the rules of corpus.clean, each text by itself, in any shards."""

import pytest
from test_cleaning import RAW

from stages.corpus import Clean, Filter


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_the_same_rows_are_kept_and_dropped_as_by_clean_without_duplicates(
    run_stage, documents, prose, rows
):
    texts = {
        **RAW,
        **{f"good-{n}": prose(n) for n in range(5)},
        "decomposed": "Cafe\u0301 " + prose(9),
    }
    given = documents(texts)
    settings = {"min_chars": 50, "max_chars": 2000}
    whole = run_stage(Clean, {"documents": given}, dedup="none", **settings)
    by_shard = run_stage(Filter, {"documents": given.in_shards_of(rows)}, **settings)
    for output in ("documents", "dropped"):
        assert by_shard.rows(output) == whole.rows(output)
    assert whole.rows("dropped")


def test_filtering_conserves_its_rows_without_saying_so():
    assert Filter.conservation() == ("documents", ("documents", "dropped"))


def test_a_lower_bound_above_the_upper_is_refused():
    with pytest.raises(ValueError, match="must not be below min_chars 9"):
        Filter.Config(min_chars=9, max_chars=5)
