"""The order of the data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.modeling import batch_rows


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 20), batch_size=st.integers(1, 30), epochs=st.integers(1, 4))
def test_every_batch_is_full_and_every_epoch_sees_every_row_once(rows, batch_size, epochs):
    batches = -(-rows * epochs // batch_size)
    drawn = list(batch_rows(rows, batch_size, batches, seed=5))
    assert all(batch.shape == (batch_size,) for batch in drawn)
    stream = np.concatenate(drawn)[: rows * epochs].reshape(epochs, rows)
    assert all(sorted(epoch) == list(range(rows)) for epoch in stream)


def test_the_order_is_the_permutation_of_each_epochs_generator_end_to_end():
    # A generator an epoch: a place in the data is found without what comes before it.
    generators = [np.random.Generator(np.random.PCG64([11, 0, epoch])) for epoch in range(3)]
    expected = np.concatenate([generator.permutation(7) for generator in generators])
    assert np.concatenate(list(batch_rows(7, 3, 7, seed=11))).tolist() == expected.tolist()


def test_the_first_batches_do_not_depend_on_how_many_follow():
    long = list(batch_rows(10, 4, 20, seed=1))
    short = list(batch_rows(10, 4, 3, seed=1))
    assert [batch.tolist() for batch in short] == [batch.tolist() for batch in long[:3]]


def test_epochs_and_seeds_differ():
    first, second = batch_rows(50, 50, 2, seed=1)
    (other,) = batch_rows(50, 50, 1, seed=2)
    assert first.tolist() != second.tolist()
    assert first.tolist() != other.tolist()


def test_no_rows_are_an_error():
    with pytest.raises(ValueError, match="rows"):
        next(batch_rows(0, 4, 1, seed=1))
