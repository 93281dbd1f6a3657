"""Spelling noise for robustness: a text with misspelled words, for the same gold label.

Two sets of perturbations are common. Per word, with a probability: two adjacent inner characters
swapped, a character deleted, a character of a neighbouring key inserted or put in place, a letter's
case flipped. Per text (the set used for byte- and word-level hierarchical models): inner
characters permuted in a share of the words, a share of the characters replaced or deleted, all
capitals. A character is a Unicode code point.

Only words are touched: runs of letters and their marks that hold no digit and lie outside of
`PROTECTED`, which matches URLs, e-mail addresses, code and markup. Digits, punctuation and
whitespace never change.

A result depends on the seed, the kind, the example's id and its text, on no other example and on
no order. With a higher rate everything is still perturbed that was at a lower one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

WordPerturbation = Literal["swap", "delete", "insert", "neighbour", "case", "permute", "upper"]
CharacterPerturbation = Literal["replace_characters", "delete_characters"]
Perturbation = WordPerturbation | CharacterPerturbation
PERTURBATIONS: tuple[str, ...] = (*get_args(WordPerturbation), *get_args(CharacterPerturbation))

# Bounded repetitions and look-behinds keep the search linear in runs without a space: a chain such
# as a.b.c is looked at from its beginning only.
_CHAIN = r"(?<!\w)(?<!\w\.)\w++(?:\.\w++)*+"
PROTECTED = "|".join(
    (
        r"(?s:```.*?(?:```|\Z))",  # a fenced block of code
        r"`[^`\n]+`",  # code in a line
        r"(?:\p{L}[\p{L}\d+.-]{0,20}://|www\.)\S+",  # URLs
        r"[^\s@<>]{1,64}@[^\s@<>]+\.[^\s@<>]+",  # e-mail addresses
        r"</?\p{L}[^<>\n]{0,200}>",  # tags
        r"\\\p{L}+",  # LaTeX commands
        _CHAIN + r"(?:::|->)\S+",  # scopes and members
        _CHAIN + r"\([^\s()]*\)",  # calls: f(x), np.mean()
        r"\w*_\w*",  # snake_case
        r"\p{Ll}+\p{Lu}\w*",  # camelCase
        r"(?<![\w/-])(?:[\w-]*+/)++[\w-]*+\.\w+",  # paths
        r"[\p{L}\p{M}\d]*\d[\p{L}\p{M}\d]*",  # digits, and what is written together with them
    )
)
_WORD = r"\p{L}[\p{L}\p{M}]*"

# The keys that touch a key of the US QWERTY layout, in the order of the alphabet.
_NEIGHBOURS = {
    "a": "qswz", "b": "ghnv", "c": "dfvx", "d": "cefrsx", "e": "drsw", "f": "cdgrtv",
    "g": "bfhtvy", "h": "bgjnuy", "i": "jkou", "j": "hikmnu", "k": "ijlmo", "l": "kop",
    "m": "jkn", "n": "bhjm", "o": "iklp", "p": "lo", "q": "aw", "r": "deft", "s": "adewxz",
    "t": "fgry", "u": "hijy", "v": "bcfg", "w": "aeqs", "x": "cdsz", "y": "ghtu", "z": "asx",
}  # fmt: skip

# A band this wide around the diagonal is tried first: most edits are few.
_FIRST_BAND = 16


@dataclass(frozen=True, slots=True)
class PerturbedTexts:
    """Perturbed texts and how much of them really changed.

    Attributes:
        texts: in the order given.
        eligible: words (for character perturbations: letters) of each text that could be
            perturbed.
        drawn: those that were chosen.
        changed: those that differ afterwards; swapping two equal letters changes nothing.
        distances: Levenshtein distance of each text from the original, in code points.
        lengths: code points of each original text.
    """

    texts: list[str]
    eligible: NDArray[np.int64]
    drawn: NDArray[np.int64]
    changed: NDArray[np.int64]
    distances: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @property
    def edit_rates(self) -> NDArray[np.float64]:
        """Levenshtein distance over length of each text; 0 for an empty one."""
        return self.distances / np.maximum(self.lengths, 1)

    @property
    def edit_rate(self) -> float:
        """Edits over characters of all texts together; 0 without any character."""
        return float(self.distances.sum() / max(int(self.lengths.sum()), 1))


def perturb_texts(
    texts: Sequence[str],
    ids: Sequence[str],
    *,
    kind: Perturbation,
    rate: float,
    seed: int = 0,
    protected: str = PROTECTED,
) -> PerturbedTexts:
    """Perturb a share of the words, or of the letters, of each text.

    Kinds, and the words that are eligible for them:

    - "swap": two adjacent inner characters change places; four characters or more.
    - "delete": one character goes; two or more.
    - "insert": a key next to that of one character is typed after it, in its case; "neighbour":
      instead of it. Words with a letter of a to z.
    - "case": one letter changes its case. Words with a letter of two cases.
    - "permute": the inner characters are put in a random order; four or more.
    - "upper": capitals. Words with a small letter. All capitals is rate 1.
    - "replace_characters": a letter becomes another letter of the same text. "delete_characters":
      it goes. Every letter of a word is eligible.

    Args:
        texts: the examples.
        ids: their names, all different; what happens to a text follows from its name.
        kind: one of `PERTURBATIONS`.
        rate: probability that an eligible word (or letter) is drawn, in [0, 1]. 0 changes
            nothing.
        seed: of the draws.
        protected: regex (of the `regex` package) of what is never touched; "" protects digits
            only.

    Raises:
        ValueError: for an unknown kind, a rate out of range, ids that repeat or do not fit, or a
            pattern that is no regex.
    """
    if kind not in PERTURBATIONS:
        raise ValueError(f"kind is {kind!r}, but must be one of {', '.join(PERTURBATIONS)}")
    if not 0 <= rate <= 1:
        raise ValueError(f"rate is {rate}, but must be in [0, 1]")
    if len(ids) != len(texts) or len(set(ids)) != len(ids):
        raise ValueError(
            f"{len(texts)} texts need as many different ids, not {len(ids)} with "
            f"{len(set(ids))} different"
        )
    pattern = _pattern(protected)
    perturb = _perturb_characters if kind in get_args(CharacterPerturbation) else _perturb_words
    edited: list[str] = []
    counts = np.zeros((len(texts), 3), dtype=np.int64)
    for place, (text, name) in enumerate(zip(texts, ids, strict=True)):
        generator = _generator(seed, kind, name)
        pieces, counts[place] = perturb(text, list(_words(pattern, text)), kind, rate, generator)
        edited.append("".join(pieces))
    return PerturbedTexts(
        edited,
        counts[:, 0],
        counts[:, 1],
        counts[:, 2],
        np.array([edit_distance(*pair) for pair in zip(texts, edited, strict=True)], np.int64),
        np.array([len(text) for text in texts], np.int64),
    )


def edit_distance(before: str, after: str) -> int:
    """Levenshtein distance in code points: insertions, deletions and substitutions cost 1."""
    if before == after:
        return 0
    from operators.editing.distance_kernels import levenshtein

    here, there = _codes(before), _codes(after)
    shorter = min(len(here), len(there))
    # What both begin or end with costs nothing.
    differs = np.flatnonzero(here[:shorter] != there[:shorter])
    start = int(differs[0]) if len(differs) else shorter
    here, there = here[start:], there[start:]
    shorter -= start
    differs = np.flatnonzero(here[::-1][:shorter] != there[::-1][:shorter])
    end = int(differs[0]) if len(differs) else shorter
    here, there = here[: len(here) - end], there[: len(there) - end]
    longest = max(len(here), len(there))
    band = min(max(_FIRST_BAND, 2 * abs(len(here) - len(there))), longest)
    while (distance := int(levenshtein(here, there, band))) < 0:
        band = min(4 * band, longest)
    return distance


def _perturb_words(
    text: str, words: Sequence[tuple[int, int]], kind: str, rate: float, generator: Any
) -> tuple[list[str], tuple[int, int, int]]:
    change, can_change = _WORD_KINDS[kind]
    eligible = [(start, end) for start, end in words if can_change(text[start:end])]
    # Both numbers of every word are drawn, so that the rate does not shift those of later words.
    lots = generator.random(len(eligible))
    choices = generator.integers(0, 2**63, len(eligible))
    drawn = np.flatnonzero(lots < rate).tolist()
    pieces: list[str] = []
    done = changed = 0
    for place in drawn:
        start, end = eligible[place]
        word = text[start:end]
        edited = change(word, int(choices[place]))
        pieces += (text[done:start], edited)
        done = end
        changed += edited != word
    pieces.append(text[done:])
    return pieces, (len(eligible), len(drawn), changed)


def _perturb_characters(
    text: str, words: Sequence[tuple[int, int]], kind: str, rate: float, generator: Any
) -> tuple[list[str], tuple[int, int, int]]:
    codes = _codes(text)
    is_letter = np.zeros(len(codes), dtype=np.bool_)
    for start, end in words:
        is_letter[start:end] = True
    places = np.flatnonzero(is_letter)
    lots = generator.random(len(places))
    others = generator.random(len(places))
    chosen = lots < rate
    drawn = places[chosen]
    if kind == "delete_characters":
        kept = np.ones(len(codes), dtype=np.bool_)
        kept[drawn] = False
        edited, changed = codes[kept], len(drawn)
    else:
        letters = np.unique(codes[places])
        edited = codes.copy()
        if len(letters) > 1:
            # A step of 1 to n - 1 in the sorted letters never comes back to the same one.
            steps = 1 + (others[chosen] * (len(letters) - 1)).astype(np.int64)
            own = np.searchsorted(letters, codes[drawn])
            edited[drawn] = letters[(own + steps) % len(letters)]
        changed = int((edited != codes).sum())
    return [_text(edited)], (len(places), len(drawn), changed)


def _swap(word: str, choice: int) -> str:
    first = 1 + choice % (len(word) - 3)
    return word[:first] + word[first + 1] + word[first] + word[first + 2 :]


def _delete(word: str, choice: int) -> str:
    place = choice % len(word)
    return word[:place] + word[place + 1 :]


def _insert(word: str, choice: int) -> str:
    place, key = _neighbour(word, choice)
    return word[: place + 1] + key + word[place + 1 :]


def _replace(word: str, choice: int) -> str:
    place, key = _neighbour(word, choice)
    return word[:place] + key + word[place + 1 :]


def _neighbour(word: str, choice: int) -> tuple[int, str]:
    """A place in the word, and a key next to the one of the letter that stands there."""
    places = [place for place, letter in enumerate(word) if letter.lower() in _NEIGHBOURS]
    place = places[choice % len(places)]
    keys = _NEIGHBOURS[word[place].lower()]
    key = keys[choice // len(places) % len(keys)]
    return place, key.upper() if word[place].isupper() else key


def _flip_case(word: str, choice: int) -> str:
    places = [place for place, letter in enumerate(word) if _has_cases(letter)]
    place = places[choice % len(places)]
    return word[:place] + word[place].swapcase() + word[place + 1 :]


def _permute(word: str, choice: int) -> str:
    inner = list(word[1:-1])
    np.random.Generator(np.random.PCG64(choice)).shuffle(inner)
    return word[0] + "".join(inner) + word[-1]


def _upper(word: str, choice: int) -> str:
    del choice
    return word.upper()


def _has_cases(letter: str) -> bool:
    return letter.swapcase() != letter and letter.swapcase().swapcase() == letter


_WORD_KINDS: dict[str, tuple[Callable[[str, int], str], Callable[[str], bool]]] = {
    "swap": (_swap, lambda word: len(word) >= 4),
    "delete": (_delete, lambda word: len(word) >= 2),
    "insert": (_insert, lambda word: any(letter.lower() in _NEIGHBOURS for letter in word)),
    "neighbour": (_replace, lambda word: any(letter.lower() in _NEIGHBOURS for letter in word)),
    "case": (_flip_case, lambda word: any(map(_has_cases, word))),
    "permute": (_permute, lambda word: len(word) >= 4),
    "upper": (_upper, lambda word: word.upper() != word),
}


def _words(pattern: Any, text: str) -> Iterator[tuple[int, int]]:
    """Begin and end of each word that may be touched."""
    for match in pattern.finditer(text):
        start, end = match.span("word")
        if start >= 0:
            yield start, end


@lru_cache(maxsize=16)
def _pattern(protected: str) -> Any:
    import regex

    try:
        # What is protected is tried first, and at every place: what it takes is not a word.
        alternatives = f"(?:{protected})|" if protected else ""
        return regex.compile(f"{alternatives}(?P<word>{_WORD})")
    except regex.error as error:
        raise ValueError(f"protected {protected!r} is no regex: {error}") from error


def _generator(seed: int, kind: str, name: str) -> np.random.Generator:
    digest = blake2b(f"{seed}\x00{kind}\x00{name}".encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))


def _codes(text: str) -> NDArray[np.uint32]:
    # surrogatepass: a text with lone surrogates is not ours to refuse here.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def _text(codes: NDArray[np.uint32]) -> str:
    return codes.tobytes().decode("utf-32-le", "surrogatepass")
