"""corpus.split: nothing that belongs together is divided, and the order of rows decides nothing."""

import random

import pytest

from stages.corpus import Split, bound_together


@pytest.fixture
def split(run_stage):
    def split(given, **settings):
        settings = {"held_out_fraction": 0.3, "unit": "document", **settings}
        return run_stage(Split, {"documents": given}, **settings)

    return split


@pytest.fixture
def many(prose):
    return {f"{n:02}": {"text": prose(n)} for n in range(40)}


def side_of(ran):
    return {row["id"]: name for name in ("train", "heldout") for row in ran.rows(name)}


def test_every_document_is_on_one_side_unchanged(split, documents, many):
    given = documents(many)
    ran = split(given)
    rows = ran.rows("train") + ran.rows("heldout")
    by_id = {row["id"]: row for row in rows}
    assert len(by_id) == len(rows) == 40
    assert by_id == {row["id"]: row for row in given.table().to_pylist()}
    assert ran.context.metrics["units"] == 40
    assert ran.context.metrics["held_out_share"] == len(ran.rows("heldout")) / 40


def test_near_duplicates_never_cross(split, documents, many, prose):
    for n in range(40):
        many[f"{n:02} again"] = {"text": prose(n) + " With another ending."}
    for seed in range(5):
        sides = side_of(split(documents(many), seed=seed))
        assert all(sides[f"{n:02}"] == sides[f"{n:02} again"] for n in range(40))
        assert set(sides.values()) == {"train", "heldout"}


def test_versions_of_one_document_never_cross(split, documents, many):
    for n, row in enumerate(many.values()):
        row["group"] = f"work {n // 2}"
    for seed in range(5):
        sides = side_of(split(documents(many), seed=seed))
        assert all(sides[f"{n:02}"] == sides[f"{n + 1:02}"] for n in range(0, 40, 2))


def test_documents_of_one_source_never_cross_where_the_source_is_the_unit(split, documents, many):
    for n, row in enumerate(many.values()):
        row["source"] = f"file {n % 10}"
    for seed in range(5):
        sides = side_of(split(documents(many), seed=seed, unit="source", held_out_fraction=0.5))
        assert all(sides[f"{n:02}"] == sides[f"{n % 10:02}"] for n in range(40))
    divided = side_of(split(documents(many), unit="document"))
    assert any(divided[f"{n:02}"] != divided[f"{n % 10:02}"] for n in range(40))


def test_what_is_bound_over_several_steps_never_crosses(split, documents, many, prose):
    # 00 and 01 share a source, 01 and 02 a group, 02 and 03 nearly all their words.
    many["00"]["source"] = many["01"]["source"] = "one file"
    many["01"]["group"] = many["02"]["group"] = "one work"
    many["03"]["text"] = prose(2) + " With another ending."
    for seed in range(8):
        ran = split(documents(many), seed=seed, unit="source")
        assert len({side_of(ran)[id_] for id_ in ("00", "01", "02", "03")}) == 1
        assert ran.context.metrics["units"] == 37


def test_the_order_of_rows_and_shards_decides_nothing(split, documents, many):
    first = side_of(split(documents(many)))
    for seed in range(3):
        order = random.Random(seed).sample(list(many), len(many))
        shuffled = documents({id_: many[id_] for id_ in order}, shards=3)
        assert side_of(split(shuffled)) == first


def test_new_documents_elsewhere_move_no_other(split, documents, many, prose):
    before = side_of(split(documents(many)))
    more = {f"new-{n}": {"text": prose(1000 + n)} for n in range(20)}
    after = side_of(split(documents({**more, **many})))
    assert {id_: after[id_] for id_ in before} == before


def test_the_same_seed_gives_the_same_split_and_another_seed_another(split, documents, many):
    given = documents(many)
    assert side_of(split(given, seed=1)) == side_of(split(given, seed=1))
    assert side_of(split(given, seed=1)) != side_of(split(given, seed=2))


def test_a_larger_fraction_holds_out_more_and_all_that_was_held_out_before(split, documents, many):
    sides = [side_of(split(documents(many), held_out_fraction=f)) for f in (0.2, 0.6)]
    small, large = ({id_ for id_, s in side.items() if s == "heldout"} for side in sides)
    assert small < large


def test_nothing_held_out_is_a_clear_error(split, documents, many):
    for row in many.values():
        row["source"] = "the only file"
    with pytest.raises(
        ValueError, match="nothing left to hold out: 40 documents are bound into 1 units"
    ):
        split(documents(many), unit="source", held_out_fraction=0.001)


def test_nothing_left_to_train_on_is_a_clear_error(split, documents, prose):
    with pytest.raises(ValueError, match="nothing left to train on"):
        split(documents({"only": prose(1)}), held_out_fraction=0.999999)


def test_rows_are_named_by_the_smallest_id_they_are_bound_to():
    ids = ["d", "b", "c", "a"]
    assert bound_together(ids, []) == ids
    assert bound_together(ids, [["x", "x", None, None], [None, "y", "y", None]]) == [
        "b", "b", "b", "a",
    ]  # fmt: skip
    assert bound_together([], [[]]) == []
