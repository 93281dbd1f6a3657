"""Figures of vocabularies: the same for the same numbers, also of nothing, whatever the numbers."""

import io
import math

import matplotlib.image
import pytest

from operators.plotting import bar_panels, before_and_after, size_laws


def size(png):
    return matplotlib.image.imread(io.BytesIO(png)).shape[:2]


def laws(languages):
    return {
        f"l{n:02d}_Latn": {size: 1e5 * (1 + n) * size**-0.2 for size in (512, 1024, 4096)}
        for n in range(languages)
    }


@pytest.mark.parametrize("languages", [0, 1, 3, 60])
def test_laws_of_any_number_of_languages_can_be_drawn(languages):
    tokens = laws(languages)
    chosen = {name: (700 + n, 25_000.0) for n, name in enumerate(tokens)}
    first = size_laws(tokens, chosen, target=25_000, title="laws")
    assert min(size(first)) > 300
    assert size_laws(tokens, chosen, target=25_000, title="laws") == first
    if tokens:
        assert size_laws(tokens, chosen, target=30_000, title="laws") != first


@pytest.mark.parametrize("languages", [0, 1, 2, 60])
def test_before_and_after_is_drawn_for_any_number_of_languages(languages):
    before = {f"l{n}": 1000.0 + 37 * n for n in range(languages)}
    after = dict.fromkeys(before, 1000.0)
    drawn = before_and_after(before, after, labels=("a", "b"), title="t", ylabel="tokens")
    assert min(size(drawn)) > 300
    again = before_and_after(before, after, labels=("a", "b"), title="t", ylabel="tokens")
    assert drawn == again


def test_a_page_has_a_panel_for_each_measure_and_grows_with_the_names():
    names = ["algorithm=bpe", "algorithm=unigram"]
    panels = {f"measure {n}": [float(n), math.nan] for n in range(7)}
    page = bar_panels(names, panels, title="Tokenizers")
    taller = bar_panels([*names, "c", "d", "e"], {m: [1.0] * 5 for m in panels}, title="Tokenizers")
    assert size(taller)[0] > size(page)[0]
    assert bar_panels(names, panels, title="Tokenizers") == page
    assert min(size(bar_panels([], {}, title="nothing"))) > 50


def test_a_panel_with_a_value_too_few_is_refused():
    with pytest.raises(ValueError, match="'bytes' has 1 values for 2 names"):
        bar_panels(["a", "b"], {"bytes": [1.0]}, title="t")
