"""The marks that end sentences in scripts other than Latin."""

import os
from pathlib import Path

import pytest

from operators.alignment import split_sentences

CASES = {
    "hin_Deva": ["यह पहला वाक्य है।", "क्या यह दूसरा है?", "हाँ।"],
    "san_Deva": ["एकः श्लोकः॥", "द्वितीयः॥"],
    "ben_Beng": ["এটি প্রথম।", "এটি দ্বিতীয়।"],
    "arb_Arab": ["هل هذا سؤال؟", "نعم هو كذلك."],
    "urd_Arab": ["یہ پہلا ہے۔", "کیا یہ دوسرا ہے؟"],
    "zho_Hans": ["这是第一句。", "这是第二句吗？", "是！"],
    "jpn_Jpan": ["これは一つ目です。", "二つ目ですか？"],
    "amh_Ethi": ["ይህ የመጀመሪያው ነው።", "ሁለተኛው ነው፧", "አዎ።"],
    "khm_Khmr": ["នេះជាទីមួយ។", "នេះជាទីបញ្ចប់៕", "ចប់៚"],
    "mya_Mymr": ["ဒါက ပထမဖြစ်တယ်။", "ဒါက ဒုတိယပါ။"],
    "ell_Grek": ["Είναι αυτό ερώτηση;", "Ναι, είναι."],
    "hye_Armn": ["Սա առաջինն է։", "Սա երկրորդն է։"],
    "sat_Olck": ["ᱱᱚᱣᱟ ᱢᱤᱫ᱾", "ᱱᱚᱣᱟ ᱵᱟᱨ᱿"],
}
SPACELESS = {"zho_Hans", "jpn_Jpan"}


@pytest.mark.parametrize("language", list(CASES))
def test_sentences_end_at_the_marks_of_their_script(language):
    sentences = CASES[language]
    text = ("" if language in SPACELESS else " ").join(sentences)
    assert split_sentences(text, language) == sentences


@pytest.mark.parametrize("language", ["deu_Latn", "eng_Latn"])
def test_a_semicolon_ends_a_sentence_in_greek_alone(language):
    assert len(split_sentences("This; That is one.", language)) == 1


@pytest.mark.skipif("TOKENMILL_DATA" not in os.environ, reason="TOKENMILL_DATA is unset")
@pytest.mark.parametrize(
    "language",
    ["hin_Deva", "arb_Arab", "urd_Arab", "zho_Hans", "jpn_Jpan", "amh_Ethi", "khm_Khmr", "mya_Mymr",
     "ell_Grek", "hye_Armn", "ben_Beng", "tam_Taml", "rus_Cyrl"],
)  # fmt: skip
def test_joined_flores_sentences_come_apart_again(language):
    import pyarrow.parquet as pq

    path = Path(os.environ["TOKENMILL_DATA"], "flores_dev", "flores200_dev_60.parquet")
    column = pq.read_table(path, columns=[language]).column(language)
    given = [text.strip() for text in column.to_pylist()[:200]]
    joined = ("" if language in SPACELESS else " ").join(given)
    ends, at = set(), 0
    for sentence in split_sentences(joined, language):
        at = joined.index(sentence, at) + len(sentence)
        ends.add(at)
    place, found = 0, 0
    for text in given:
        place = joined.index(text, place) + len(text)
        found += place in ends
    # FLORES has lines without a mark at their end, and quotes that begin with a small letter.
    assert found / len(given) >= 0.9
