"""Sliding windows: every token but the first is new exactly once, with the context promised."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.modeling import Window, sliding_windows


@settings(max_examples=200, deadline=None)
@given(length=st.integers(0, 200), context=st.integers(2, 40), data=st.data())
def test_every_token_but_the_first_is_new_once(length, context, data):
    stride = data.draw(st.integers(1, context - 1))
    windows = sliding_windows(length, context, stride)
    new = [position for window in windows for position in range(window.first_new, window.end)]
    assert new == list(range(1, length))
    assert all(0 <= window.start < window.first_new < window.end for window in windows)
    assert all(len(window) <= context for window in windows)
    assert all(window.first_new - window.start == context - stride for window in windows[1:])
    assert all(window.end - window.first_new <= stride for window in windows[1:])


def test_windows_of_ten_tokens_read_four_at_a_time_two_new():
    assert sliding_windows(10, 4, 2) == [
        Window(0, 1, 4),
        Window(2, 4, 6),
        Window(4, 6, 8),
        Window(6, 8, 10),
    ]


@pytest.mark.parametrize("length", [0, 1])
def test_nothing_to_score_is_no_window(length):
    assert sliding_windows(length, 4, 2) == []


@pytest.mark.parametrize("stride", [0, 4])
def test_a_stride_without_progress_or_without_context_is_an_error(stride):
    with pytest.raises(ValueError, match="stride"):
        sliding_windows(10, 4, stride)
