"""Files of recognised words must be read whole, or say where they are wrong."""

import json

import pytest

from operators.speech import TimedWord, read_timed_words

WANTED = [TimedWord("and", 0.2, 0.37, 0.9), TimedWord("mister", 0.5, 0.75, 0.8)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", json.dumps([{"text": "and", "start": 0.2, "end": 0.37, "confidence": 0.9},
                               {"word": "mister", "start": 0.5, "end": 0.75, "conf": 0.8}])),
        ("a.json", json.dumps({"t": "and mister", "w": [
            {"t": "<sil>", "b": 0, "d": 0.2, "p": 1}, {"t": "and(2)", "b": 0.2, "d": 0.17, "p": 0.9},
            {"t": "mister", "b": 0.5, "d": 0.25, "p": 0.8}]})),
        ("a.csv", "word,start,end,confidence\nand,0.2,0.37,0.9\nmister,0.5,0.75,0.8\n"),
        ("b.ctm", ";; made by\na 1 0.50 0.25 mister 0.8\na 1 0.2 0.17 and 0.9\na 1 0 0.2 <eps> 1\n"),
    ],
)  # fmt: skip
def test_the_same_words_are_read_from_every_format(name, text):
    found = read_timed_words(name, text)
    assert [word.text for word in found] == ["and", "mister"]
    for word, wanted in zip(found, WANTED, strict=True):
        assert word.start == pytest.approx(wanted.start)
        assert word.end == pytest.approx(wanted.end)
        assert word.confidence == wanted.confidence


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", r"a\.json:1: is not valid JSON"),
        ("a.json", "{}", r'a\.json: has no list of words; it should be "words"'),
        ("a.json", "[3]", r"a\.json: word 0: is no object"),
        ("a.json", '[{"text": "a", "start": 1}]', r"a\.json: word 0: needs text, start and end"),
        ("a.json", '[{"start": 1, "end": 2}]', r"a\.json: word 0: needs text"),
        ("a.json", '[{"text": "a", "start": 2, "end": 1}]', r'a\.json: word 0 \("a", 2-1 s\)'),
        ("a.csv", "word,start,end\na,0,1\nb,x,2\n", r"a\.csv:3: needs text, start and end"),
        ("a.ctm", "a 1 0.0\n", r"a\.ctm:1: has 3 fields"),
        ("a.ctm", "a 1 0.0 z word\n", r'a\.ctm:1: "z" is no number'),
        ("a.xml", "", r"a\.xml: words with times are read from csv, ctm, json"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_place(name, text, message):
    with pytest.raises(ValueError, match=message):
        read_timed_words(name, text)
