"""What each character is, as one byte a code point: for code that reads text as an array."""

from __future__ import annotations

import sys
import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

LETTER = 1  # as str.isalpha says
SPACE = 2  # as str.isspace says
LINE_END = 4  # where str.splitlines cuts
SYMBOL = 8  # punctuation, symbols, controls, separators: nothing to read
SENTENCE_END = 16  # the Unicode property Sentence_Terminal
WORD = 32  # letters, marks, digits: what a word is made of
ALONE = 64  # a letter of a script that puts no spaces between words
CLOSER = 128  # closing brackets and quotes, that may follow the end of a sentence

_LINE_ENDS = "\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029"
_CLOSERS = "\"')]}»›”’」』）】》〉〕"

# Unicode 17, PropList.txt, Sentence_Terminal, as hexadecimal ranges.
_SENTENCE_TERMINAL = """
21 2e 3f 589 61d-61f 6d4 700-702 7f9 837 839 83d-83e 964-965 104a-104b 1362 1367-1368 166e
1735-1736 17d4-17d5 1803 1809 1944-1945 1aa8-1aab 1b4e-1b4f 1b5a-1b5b 1b5e-1b5f 1b7d-1b7f 1c3b-1c3c
1c7e-1c7f 2024 203c-203d 2047-2049 2cf9-2cfb 2e2e 2e3c 2e53-2e54 2e60-2e61 3002 a4ff a60e-a60f a6f3
a6f7 a876-a877 a8ce-a8cf a92f a9c8-a9c9 aa5d-aa5f aaf0-aaf1 abeb fe12 fe15-fe16 fe52 fe56-fe57 ff01
ff0e ff1f ff61 10a56-10a57 10f55-10f59 10f86-10f89 11047-11048 110be-110c1 11141-11143 111c5-111c6
111cd 111de-111df 11238-11239 1123b-1123c 112a9 113d4-113d5 1144b-1144c 115c2-115c3 115c9-115d7
11641-11642 1173c-1173e 11944 11946 11a42-11a43 11a9b-11a9c 11c41-11c42 11ef7-11ef8 11f43-11f44
16a6e-16a6f 16af5 16b37-16b38 16b44 16d6e-16d6f 16e98 1bc9f 1da88
"""
# Thai, Lao, Tibetan, Myanmar, Khmer, kana, Han: blocks of the scripts written without spaces.
_ALONE = "e00-eff f00-fff 1000-109f 1780-17ff 3040-30ff 3400-4dbf 4e00-9fff f900-faff 20000-323af"
# Behind the last Han characters there are variation selectors, and nothing that is written.
_BEHIND_HAN = 0x32400


@cache
def character_classes() -> npt.NDArray[np.uint8]:
    """uint8 [0x110000]: the classes of each code point, added up."""
    table = np.zeros(sys.maxunicode + 1, np.uint8)
    for code in (*range(_BEHIND_HAN), *range(0xE0000, 0xE0200)):
        character = chr(code)
        category = unicodedata.category(character)
        table[code] = (
            LETTER * character.isalpha()
            | SPACE * character.isspace()
            | SYMBOL * (category[0] in "PSCZ" and category not in ("Cn", "Co"))
            | WORD * (category[0] in "LMN")
        )
    for name, bit in ((_SENTENCE_TERMINAL, SENTENCE_END), (_ALONE, ALONE)):
        for span in name.split():
            first, _, last = span.partition("-")
            table[int(first, 16) : int(last or first, 16) + 1] |= bit
    table[[ord(character) for character in _LINE_ENDS]] |= LINE_END
    table[[ord(character) for character in _CLOSERS]] |= CLOSER
    table[(table & WORD) == 0] &= 0xFF ^ ALONE
    return table
