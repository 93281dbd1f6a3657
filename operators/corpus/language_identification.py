"""Which language a text is in: py3langid's model, which lies in its package, and the script."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

from operators.corpus.language_codes import iso_639_3
from operators.corpus.scripts import script_of

UNKNOWN = "und"
# Marks of words that no letters of a language; py3langid's label for text that is none.
_NO_LANGUAGE = {"zxx", "ext", "und"}


class Identified(NamedTuple):
    """A language as FLORES writes it (eng_Latn; und_Latn where it is not known) and its score."""

    language: str
    score: float


def identify_languages(texts: Sequence[str], *, max_characters: int = 1000) -> list[Identified]:
    """The language of each text and its probability among the 140 that py3langid knows.

    The model is naive Bayes over byte n-grams (Lui and Baldwin 2012), retrained by py3langid's
    author. The script is that of most letters. Each text is looked at by itself.

    Args:
        max_characters: so many characters are looked at: half from the beginning and half from the
            middle of a longer text, since a beginning may be a menu or a licence.
    """
    identifier = _identifier()
    codes = iso_639_3()
    found = []
    for text in texts:
        shown = _excerpt(text, max_characters)
        script = script_of(shown)
        if script == "Zyyy":
            found.append(Identified(f"{UNKNOWN}_Zyyy", 0.0))
            continue
        label, score = identifier.classify(shown)
        code = UNKNOWN if label in _NO_LANGUAGE else codes.get(label, label)
        # Float32 sums may differ in their last digits between processors.
        found.append(Identified(f"{code}_{script}", round(float(score), 4)))
    return found


def _excerpt(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    half = most // 2
    middle = max(half, (len(text) - (most - half)) // 2)
    return text[:half] + "\n" + text[middle : middle + most - half]


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
