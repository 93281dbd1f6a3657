"""The dot-plot of an alignment."""

import pytest

from operators.plotting import bead_plot

BEADS = [((0,), (0,), -3.0), ((1, 2), (1,), 0.5), ((3,), (), 4.0), ((), (2,), 4.0)]


@pytest.mark.parametrize("beads", [[], BEADS[:1], BEADS, BEADS[2:]])
def test_any_alignment_makes_a_picture_and_the_same_one_the_same_bytes(beads):
    once, again = (bead_plot(beads, title="t", xlabel="x", ylabel="y") for _ in range(2))
    assert once == again
    assert once.startswith(b"\x89PNG")
