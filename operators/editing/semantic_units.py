"""Cut text into sentences, and sentences into semantic units, by rule.

A unit is a name, a date or number, or a phrase. Units are verbatim: put together they are the
text. Cuts are made at white space only, so a word keeps its punctuation and no word is divided.

- A name is a run of capitalised words, with "of", "the", "de", "van" and the like between two of
  them, and a number behind ("Apollo 11"). A function word that is capitalised because a sentence
  begins is none ("In", "It"); an article is part of the name that follows it ("The Hague").
- A date or number is a run of words that hold a digit, with months between ("12 March 1984",
  "March 12, 1984").
- All else is cut into phrases: behind punctuation, and before a run of English function words
  (the marker hypothesis). A text of another language is cut at names, numbers and punctuation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

_WORD = re.compile(r"\s*\S+(?:\s+|$)|\s+")
_SENTENCE_END = re.compile(r"(?:[.!?…]+[\"'”’»)\]]*\s+|[。！？]+[”’」』）]*\s*|\n\s*)")

# Words come again and again; each is looked at once.
_REMEMBERED = 2**15

_OPENING, _CLOSING = "([{\"'“‘«¿¡„", ".,;:!?…)]}\"'”’»"
_LISTS = {
    # Between two capitalised words, at most two of these belong to the name.
    "connectors": "of the de da do dos das del della di du des la le las los van von der den ter "
    "ten zu zum zur al el bin ibn y et und av af",
    "articles": "The A An",
    "months": "January February March April May June July August September October November "
    "December Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec",
    # A full stop behind these ends neither a name nor a sentence; nor one behind a single capital.
    "abbreviations": "Dr Mr Mrs Ms Prof St Mt Ft Gen Col Sgt Capt Lt Rev Hon Sen Rep Gov No Vol vs "
    "etc e.g i.e cf ca",
    "function words": "a an the this that these those my your his her its our their some any no "
    "each every another both few many much several all most such what which whose in on at by for "
    "from of to with without about above across after against along among around as before behind "
    "below beneath beside between beyond despite during except inside into like near off onto out "
    "over past since through throughout toward towards under until up upon via within am is are "
    "was were be been being do does did have has had can could may might must shall should will "
    "would i you he she it we they me him us them who whom there here and or but nor so yet "
    "because if while when where although though unless whether than once not then how why",
}
_CONNECTORS, _ARTICLES, _MONTHS, _ABBREVIATIONS, _FUNCTION_WORDS = (
    frozenset(words.split()) for words in _LISTS.values()
)


def sentences(text: str) -> list[str]:
    """The sentences of a text, each with the white space behind it; together they are the text.

    A sentence ends at a full stop, question or exclamation mark with white space behind it, at
    their Chinese and Japanese counterparts, and at a line end; not behind an initial or a common
    abbreviation ("J. R. Smith", "Dr. Who").
    """
    cut: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        last = text[start : match.start()].rpartition(" ")[2].lstrip(_OPENING)
        abbreviated = last in _ABBREVIATIONS or (len(last) == 1 and last.isupper())
        if match[0].startswith(". ") and abbreviated:
            continue
        cut.append(text[start : match.end()])
        start = match.end()
    if start < len(text):
        cut.append(text[start:])
    return cut


def semantic_units(sentence: str) -> list[str]:
    """The units of a sentence, verbatim, each with the white space behind it.

    Args:
        sentence: white space before its first word is part of the first unit.
    """
    words = word_units(sentence)
    return ["".join(words[start:end]) for start, end in _spans([word.strip() for word in words])]


def word_units(sentence: str) -> list[str]:
    """Every word by itself, with the white space behind it: for reversal word by word."""
    return _WORD.findall(sentence)


def chunk_units(sentence: str, words: int) -> list[str]:
    """Chunks of so many words, wherever that cuts: the baseline without semantics.

    Raises:
        ValueError: less than one word.
    """
    if words < 1:
        raise ValueError(f"a chunk of {words} words is none; it must have >= 1")
    units = word_units(sentence)
    return ["".join(units[start : start + words]) for start in range(0, len(units), words)]


def _spans(words: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Begin and end of each unit, in words."""
    at = phrase = 0
    while at < len(words):
        end = _name_or_number(words, at)
        if end > at:
            if phrase < at:
                yield phrase, at
            yield at, end
            at = phrase = end
            continue
        if phrase < at and _begins_phrase(words, phrase, at):
            yield phrase, at
            phrase = at
        at += 1
        if _ends_unit(words[at - 1]):
            yield phrase, at
            phrase = at
    if phrase < at:
        yield phrase, at


def _begins_phrase(words: Sequence[str], phrase: int, at: int) -> bool:
    """Before a run of function words, if the phrase has said something; before a bracket."""
    if words[at].startswith(tuple(_OPENING)):
        return True
    return _is_function_word(words[at]) and not all(map(_is_function_word, words[phrase:at]))


def _name_or_number(words: Sequence[str], at: int) -> int:
    """Where the name, date or number ends that begins at a word; `at` if none does."""
    dated = _is_month(words[at])
    if not dated and _has_digit(words[at]):
        return _number(words, at)
    follower = words[at + 1] if at + 1 < len(words) else ""
    if words[at].lstrip(_OPENING) in _ARTICLES and _is_name(follower):
        end = at + 2
    elif _is_name(words[at]) or (dated and _has_digit(follower)):
        end = at + 1
    else:
        return at
    while end < len(words):
        comma_in_date = dated and words[end - 1].endswith(",") and _has_digit(words[end])
        if _ends_unit(words[end - 1]) and not comma_in_date:
            break
        part_of_date = _has_digit(words[end]) or _is_month(words[end])
        if dated and _has_digit(words[end - 1]) and not part_of_date:
            break  # "in May 1984 Orwell"
        # Inside of a name function words may be capitalised too ("A Journey Through Time").
        if _is_capitalised(words[end]) or _has_digit(words[end]):
            dated = dated or _is_month(words[end])
            end += 1
            continue
        after = end
        while after < len(words) and after < end + 2 and words[after] in _CONNECTORS:
            after += 1
        if after == end or after == len(words) or not _is_name(words[after]):
            break
        end = after + 1
    return end


def _number(words: Sequence[str], at: int) -> int:
    end = at + 1
    while end < len(words) and not _ends_unit(words[end - 1]):
        if words[end] == "of" and end + 1 < len(words) and _is_month(words[end + 1]):
            end += 1  # 5th of November
        elif not (_has_digit(words[end]) or _is_month(words[end])):
            break
        end += 1
    return end


def _is_name(word: str) -> bool:
    return _is_capitalised(word) and not _is_function_word(word)


@lru_cache(_REMEMBERED)
def _is_capitalised(word: str) -> bool:
    return word.lstrip(_OPENING)[:1].isupper()


@lru_cache(_REMEMBERED)
def _is_month(word: str) -> bool:
    return word.strip(_OPENING + _CLOSING) in _MONTHS


@lru_cache(_REMEMBERED)
def _is_function_word(word: str) -> bool:
    return word.strip(_OPENING + _CLOSING).lower() in _FUNCTION_WORDS


@lru_cache(_REMEMBERED)
def _has_digit(word: str) -> bool:
    return any(character.isdigit() for character in word)


@lru_cache(_REMEMBERED)
def _ends_unit(word: str) -> bool:
    """Punctuation ends a unit; the full stop of an initial or an abbreviation does not."""
    bare = word.strip(_OPENING + _CLOSING)
    if word.endswith(".") and (bare in _ABBREVIATIONS or (len(bare) == 1 and bare.isupper())):
        return False
    return word.endswith(tuple(_CLOSING))
