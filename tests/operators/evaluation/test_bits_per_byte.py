"""Bits per byte must be the pooled ratio, bit for bit the same however rows are ordered."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.evaluation import bits_per_byte


def test_oracle():
    assert bits_per_byte(np.full(1000, 2.0), [4300]) == pytest.approx(0.67102, abs=5e-6)


@pytest.mark.parametrize("bytes_", [1, 3, 7, 1000, 12_345])
def test_a_uniform_byte_model_has_exactly_8(bytes_):
    assert bits_per_byte(np.full(bytes_, math.log(256)), np.ones(bytes_)) == 8.0


def test_documents_are_pooled_not_averaged():
    # 1 byte at 8 bits and 3 bytes at 0 bits: 2 bits a byte, not the mean 4.
    assert bits_per_byte([8 * math.log(2), 0.0], [1, 3]) == pytest.approx(2.0)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.randoms())
def test_order_and_shards_must_not_change_a_bit(nats, shuffler: random.Random):
    shuffled = nats.copy()
    shuffler.shuffle(shuffled)
    assert bits_per_byte(shuffled, [17]) == bits_per_byte(nats, [17])


def test_shape_is_of_no_importance():
    assert bits_per_byte([[1.0, 2.0], [3.0, 4.0]], 10) == bits_per_byte([1, 2, 3, 4], [4, 6])


def test_a_perfect_model_has_0():
    assert bits_per_byte([], [5]) == 0.0
    assert bits_per_byte([0.0], [5]) == 0.0


@pytest.mark.parametrize(
    ("nats", "bytes_", "message"),
    [
        ([1.0], [0], "sum to 0"),
        ([1.0], [], "sum to 0"),
        ([1.0, math.nan], [1], r"nats\[1\] is nan"),
        ([math.inf], [1], r"nats\[0\] is inf"),
        ([-0.1], [1], r"nats\[0\] is -0.1"),
        ([1.0], [2, -1], r"utf8_bytes\[1\] is -1"),
        ([1.0], [math.nan], r"utf8_bytes\[0\] is nan"),
    ],
)
def test_values_without_a_meaning_are_refused(nats, bytes_, message):
    with pytest.raises(ValueError, match=message):
        bits_per_byte(nats, bytes_)
