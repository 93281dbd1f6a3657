"""Sentences of a text by rules, for many languages."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Sentence ends that need white space after them, and those of scripts that put none.
_SPACED_ENDS = ".!?…؟۔።։፧፨܀܁܂᠃᠉߹‼⁇⁈⁉‽"
# Han and kana, dandas, Burmese, Khmer ៕ ៚, Tibetan ༎, Ol Chiki, Meetei.
_UNSPACED_ENDS = "。！？｡।॥။។។៕៚༎᱾᱿꯫"
_GREEK_QUESTION_MARKS = ";\u037e"
# What Armenians type for ։ (U+0589), which few keyboards have.
_ARMENIAN_STOP = ":"
_CLOSERS = "\"'”’»›)\\]}」』）】》〉〕"
# These close in „German“ and »Danish«. Chinese opens with “ right after a sentence end.
_CLOSERS_AND_OPENERS = "“‘«‹"
_OPENERS = "\"'“”„‘’‚«»‹›([{¿¡—–-"

# What cannot be the beginning of a sentence: "( really ! )", "etc. ;", "the end . . ."
_MIDDLES = ")]},;:.!?…"
_WORD = re.compile(r"\w")
_FOLLOWING = re.compile(rf"[\s{re.escape(_OPENERS)}]*(.?)")

# Written without spaces; NFKC makes their ！ and ？ the ASCII signs.
_UNSPACED_LANGUAGES = ("zho", "yue", "jpn")
_FIRST_CJK = "\u2e80"

# Abbreviations, in lower case and without their last full stop, that do not end a sentence.
# Such as may well end one ("etc.", "usw.", "a.m.") are left out: before a capital they do.
_ABBREVIATIONS_BY_LANGUAGE = {
    "": "dr mr mrs ms prof st cf vs e.g i.e viz ph.d mt op.cit al ca",
    "eng": "hon rev gen col capt lt sgt sen rep gov pres messrs approx dept",
    "deu": "hr fr frl z.b d.h u.a o.ä bzw vgl ggf evtl inkl exkl sog bspw resp geb gest hl m.e "
    "mio mrd u.u i.d.r v.a z.t s.o a d h i n o s u v z österr",
    "fra": "m mm mme mlle me mgr pr ste p.ex ex c.-à-d av apr env éd",
    "spa": "sr sra srta sres dra ud uds vd p.ej d dª ee.uu",
    "ita": "sig sigg sig.ra dott dott.ssa avv ing p.es on s",
    "por": "sr sra srs dra exmo exma p.ex v.ex",
    "cat": "sr sra dra p.ex",
    "nld": "dhr mevr drs ir bijv d.w.z o.a m.b.t i.p.v t.a.v mw",
    "dan": "hr f.eks bl.a dvs fx",
    "swe": "t.ex bl.a dvs s.k",
    "nob": "hr f.eks bl.a dvs",
    "pol": "np m.in tzn tj ul im św pt tzw mgr inż hab ks",
    "ces": "např tj tzv mgr ing sv",
    "rus": "т.е т.н г ул им проф акад напр см тов гр",
    "ukr": "т.зв ім вул проф акад напр див",
    "ell": "π.χ κ κα δηλ βλ αρ",
    "tur": "örn bkz sn doç",
    "hun": "pl ún ifj id",
}
# Abbreviations only before a number.
_ABBREVIATIONS_BEFORE_NUMBERS = (
    "no nos h nr nrs p pp s fig figs vol vols ch chap sec sect art bd abs kap eq eqs núm pág n° № "
    "jan feb mar apr jun jul aug sep sept oct nov dec str стр рис гл σελ §"
)
# Languages that write ordinal numbers with a full stop: "am 3. Oktober".
_ORDINAL_STOPS = "deu dan nob nno fin ces slk hun hrv srp bos slv est lvs pol tur isl ltz hsb"

_ABBREVIATIONS = {code: set(words.split()) for code, words in _ABBREVIATIONS_BY_LANGUAGE.items()}
_BEFORE_NUMBER = set(_ABBREVIATIONS_BEFORE_NUMBERS.split())
_ORDINAL_STOP = set(_ORDINAL_STOPS.split())

# "J", "U.S", "J.-C": the word before the full stop of an initial, or of a chain of them.
_INITIALS = re.compile(r"(?:[^\W\d_]\.-?)*[^\W\d_]")
_ENUMERATOR = re.compile(r"[(\[]?(?:\d{1,3}|[^\W\d_])(?:\.\d{1,3})*[.)\]]{1,2}")
# How far to look back for one, in characters.
_LONGEST_ABBREVIATION = 40


def split_sentences(text: str, language: str = "eng_Latn") -> list[str]:
    """The sentences of a text, without white space at their ends; [] for a blank text.

    Joined by white space, the sentences hold every other character of the text, in order.
    `language` is a FLORES-200 code; its first three letters choose the abbreviations, the Greek
    question mark ";" (ell), the Armenian stop typed as ":" (hye), ordinals such as "3." (deu, dan,
    ces, ...) and the closing "»" after a space (fra). An unknown language gets the rules that all
    share.

    A sentence ends

    - at every line end;
    - after 。 ！ ？ । and their kin;
    - after . ! ? … and their kin before white space (in Chinese and Japanese, ! and ? need none),

    each with the closing quotes and brackets that follow it directly. It does not end

    - before anything but white space and punctuation has come, or before more closing
      punctuation;
    - where the next letter is lower case ("What?" he asked);
    - after a common abbreviation, or an initial or chain of initials (J. Smith, U.S. Army);
    - inside numbers, after an enumerator at the start of a sentence ("1. First"), or in the
      languages above after a number of one or two digits.

    So a sentence that ends in an abbreviation or initial stays joined with the next one.
    """
    code = language.partition("_")[0]
    return [sentence for line in text.splitlines() for sentence in _split_line(line, code)]


def _split_line(line: str, code: str) -> Iterator[str]:
    start = looked = 0
    has_word = False
    for match in _pattern(code).finditer(line):
        has_word = has_word or _WORD.search(line, looked, match.start()) is not None
        looked = match.end()
        if has_word and _ends_sentence(line, start, match, code):
            yield line[start : match.end()].strip()
            start, has_word = match.end(), False
    if rest := line[start:].strip():
        yield rest


def _pattern(code: str) -> re.Pattern[str]:
    ends = _SPACED_ENDS + _UNSPACED_ENDS + (_GREEK_QUESTION_MARKS if code == "ell" else "")
    ends += _ARMENIAN_STOP if code == "hye" else ""
    closers = _CLOSERS + ("" if code in _UNSPACED_LANGUAGES else _CLOSERS_AND_OPENERS)
    spaced_closer = "(?:[ \u00a0\u202f]»)?" if code == "fra" else ""
    # `re` keeps compiled patterns.
    return re.compile(f"(?P<ends>[{ends}]+)[{closers}]*{spaced_closer}")


def _ends_sentence(line: str, start: int, match: re.Match[str], code: str) -> bool:
    ends = match["ends"]
    if any(end in _UNSPACED_ENDS for end in ends):
        return True
    after = line[match.end() : match.end() + 1]
    if after and not after.isspace():
        return code in _UNSPACED_LANGUAGES and ends[-1] in "!?" and after >= _FIRST_CJK
    next_sign = _FOLLOWING.match(line, match.end())
    following = next_sign[1] if next_sign else ""
    # At the end of the line the rest is one sentence anyway, with the quotes that stand alone.
    if not following or following.islower() or following in _MIDDLES:
        return False
    # A full stop with a bracket or quote behind it ends no abbreviation worth the risk.
    if ends != "." or match.end() > match.end("ends"):
        return True
    return not _is_abbreviation(line, start, match.start(), following, code)


def _is_abbreviation(line: str, start: int, stop: int, following: str, code: str) -> bool:
    """Whether the full stop at `stop` belongs to the word before it."""
    # Looking back a bounded way keeps a line of many abbreviations linear.
    near = line[max(start, stop - _LONGEST_ABBREVIATION) : stop]
    if stop - start <= _LONGEST_ABBREVIATION and _ENUMERATOR.fullmatch(near.strip() + "."):
        return True
    words = near.split()
    word = words[-1].lstrip(_OPENERS + "/") if words and not near[-1].isspace() else ""
    if not word:
        return False
    lower = word.lower()
    return (
        lower in _ABBREVIATIONS[""]
        or lower in _ABBREVIATIONS.get(code, ())
        or (lower in _BEFORE_NUMBER and following.isdigit())
        or (code in _ORDINAL_STOP and len(word) <= 2 and word.isdigit())
        or (word[-1].isupper() and _INITIALS.fullmatch(word) is not None)
    )
