"""Which script a text is written in, by the names of its letters in Unicode."""

from __future__ import annotations

import unicodedata
from collections import Counter
from functools import lru_cache

# First word of a letter's Unicode name -> ISO 15924.
_SCRIPTS = {
    "LATIN": "Latn", "CYRILLIC": "Cyrl", "GREEK": "Grek", "ARABIC": "Arab", "HEBREW": "Hebr",
    "DEVANAGARI": "Deva", "BENGALI": "Beng", "GURMUKHI": "Guru", "GUJARATI": "Gujr",
    "ORIYA": "Orya", "TAMIL": "Taml", "TELUGU": "Telu", "KANNADA": "Knda", "MALAYALAM": "Mlym",
    "SINHALA": "Sinh", "THAI": "Thai", "LAO": "Laoo", "TIBETAN": "Tibt", "MYANMAR": "Mymr",
    "GEORGIAN": "Geor", "HANGUL": "Hang", "ETHIOPIC": "Ethi", "CHEROKEE": "Cher",
    "CANADIAN": "Cans", "OGHAM": "Ogam", "RUNIC": "Runr", "KHMER": "Khmr", "MONGOLIAN": "Mong",
    "HIRAGANA": "Hira", "KATAKANA": "Kana", "KATAKANA-HIRAGANA": "Kana", "BOPOMOFO": "Bopo",
    "CJK": "Hani", "YI": "Yiii", "ARMENIAN": "Armn", "SYRIAC": "Syrc", "THAANA": "Thaa",
    "NKO": "Nkoo", "COPTIC": "Copt", "TIFINAGH": "Tfng", "JAVANESE": "Java", "BALINESE": "Bali",
    "SUNDANESE": "Sund", "VAI": "Vaii", "ADLAM": "Adlm", "CHAKMA": "Cakm", "MEETEI": "Mtei",
    "CHAM": "Cham", "BATAK": "Batk", "BUGINESE": "Bugi", "LEPCHA": "Lepc", "LIMBU": "Limb",
    "OL": "Olck", "SAURASHTRA": "Saur", "TAGALOG": "Tglg", "GOTHIC": "Goth", "FULLWIDTH": "Latn",
    "HALFWIDTH": "Kana", "MODIFIER": "", "FEMININE": "Latn", "MASCULINE": "Latn",
}  # fmt: skip


def script_of(text: str) -> str:
    """The script of most letters, as ISO 15924 writes it (Latn); "Zyyy" without letters.

    Japanese is Jpan (Han or kana with at least one kana in twenty), Korean Hang. Han alone is Hans
    or Hant, by the characters that only one of GB 2312 (1980) and Big5 (1984) has; Hans where
    neither is more.
    """
    counts: Counter[str] = Counter()
    characters = Counter(text)
    for character, count in characters.items():
        script = _script(character)
        if script:
            counts[script] += count
    if not counts:
        return "Zyyy"
    kana = counts["Hira"] + counts["Kana"]
    if kana and kana * 20 >= kana + counts["Hani"]:
        counts["Jpan"] = kana + counts["Hani"]
    # Of scripts with as many letters the first by name: order in the text decides nothing.
    script = min(counts, key=lambda name: (-counts[name], name))
    if script != "Hani":
        return script
    simplified = sum(n for c, n in characters.items() if _only_in(c, "gb2312", "big5"))
    traditional = sum(n for c, n in characters.items() if _only_in(c, "big5", "gb2312"))
    return "Hant" if traditional > simplified else "Hans"


@lru_cache(100_000)
def _script(character: str) -> str:
    # Marks count: the vowels of Indic scripts are marks.
    if unicodedata.category(character)[0] not in "LM":
        return ""
    name = unicodedata.name(character, "")
    return _SCRIPTS.get(name.partition(" ")[0], "") if name else ""


@lru_cache(100_000)
def _only_in(character: str, encoding: str, other: str) -> bool:
    return (
        _script(character) == "Hani" and _fits(character, encoding) and not _fits(character, other)
    )


def _fits(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
