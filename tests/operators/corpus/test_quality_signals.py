"""Quality signals by hand, by a slow twin, and by what they must not depend on."""

import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.corpus.c4_lines import RULES, VERDICTS, keep_c4_lines
from operators.corpus.characters import LETTER, LINE_END, SENTENCE_END, SPACE, character_classes
from operators.corpus.quality import SIGNALS, measure_quality
from operators.corpus.quality_rules import PRESETS, choose_rules, first_failures

TEXTS = st.text(
    st.one_of(
        st.sampled_from("aab b.\n\n#-… \t!\"'[3]{é中ก์😀\u2028\r"), st.characters(codec="utf-8")
    ),
    max_size=60,
)


def signals(text, **settings):
    (row,) = measure_quality(pa.array([text], pa.string()), **settings).to_pylist()
    return row


def test_each_signal_has_a_column_in_its_order():
    assert measure_quality(pa.array(["a"])).schema.names == list(SIGNALS)


def test_an_empty_text_and_no_text_give_zeros_and_no_rows():
    assert set(signals("").values()) == {0.0}
    assert measure_quality(pa.array([], pa.string())).num_rows == 0


def test_a_null_text_is_an_error():
    with pytest.raises(ValueError, match="1 texts are null"):
        measure_quality(pa.array(["a", None]))


def test_words_are_counted_as_gopher_counts_them():
    found = signals("The mill, and # 12 … of the River ...", words="spaced")
    assert found["characters"] == 37
    assert found["words"] == 10
    assert found["content_words"] == 7  # without # … ...
    assert found["mean_word_length"] == (3 + 5 + 3 + 2 + 2 + 3 + 5) / 7
    assert found["hash_word_ratio"] == 0.1
    assert found["ellipsis_word_ratio"] == 0.2
    assert found["alphabetic_word_fraction"] == 0.6
    assert found["stop_words"] == 3  # and, of, the; "The" is written otherwise


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't stop, now!", 5),  # Don't stop , now !
        ("wait... what?!", 5),  # wait ... what ? !
        ("中文字", 3),
        ("ก์ข", 2),  # a mark stays with its letter
        ("naïve e\u0301tude", 2),
        ("a中b", 3),
        ("हिन्दी भाषा", 2),
    ],
)
def test_tokens_are_words_and_runs_of_one_symbol(text, words):
    assert signals(text, words="tokens")["words"] == words


def test_ellipses_are_counted_as_str_count_does():
    for dots in range(9):
        assert signals("." * dots + "a", words="spaced")["ellipsis_word_ratio"] == dots // 3


def test_lines_that_begin_with_bullets_and_end_with_ellipses_are_shares_of_all_lines():
    found = signals("- one\n  • two\nthree...\r\nfour …  \n\n")
    assert found["bullet_line_fraction"] == 2 / 5
    assert found["ellipsis_line_fraction"] == 2 / 5


def test_repeated_lines_and_paragraphs_are_counted_from_the_second_on():
    found = signals("same\nsame\nother\n\nsame\nsame\nother\n\nlast")
    assert found["duplicate_line_fraction"] == 4 / 7
    assert found["duplicate_line_character_fraction"] == 17 / found["characters"]
    assert found["duplicate_character_fraction"] == 17 / (found["characters"] - 8)
    assert found["duplicate_paragraph_fraction"] == 1 / 3
    assert found["duplicate_paragraph_character_fraction"] == 15 / found["characters"]


def test_fineweb_looks_at_lines_that_hold_something():
    found = signals("It ends well.\n\n  \n" + "x" * 31 + "\n" + "y" * 30 + "！\nz।")
    assert found["terminal_line_fraction"] == 3 / 4
    assert found["short_line_fraction"] == 2 / 4


def test_c4_counts_sentences_of_the_lines_it_keeps():
    text = "\n".join(
        [
            'He came. "Who?" he asked. J. Smith left!',  # three sentences
            "home about contact",  # no end
            "Too short.",
            "It goes on and on...",  # an ellipsis is no end
            "Known since 1998.[3][citation needed]",
            "Please enable JavaScript to go on.",
            "This site uses cookies to serve you.",
            "A line of a { template ends here.",
            "Lorem ipsum dolor sit amet.",
            "w" * 1001 + " is long, it is.",
        ]
    )
    found = signals(text)
    assert found["c4_line_fraction"] == 0.2
    assert found["c4_sentences"] == 4
    assert found["javascript_lines"] == found["policy_lines"] == 1
    assert found["curly_bracket_lines"] == found["lorem_ipsum_lines"] == 1


def slow_top(words, n, length):
    grams = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    most = max(grams.values(), default=0)
    if most < 2:
        return 0.0
    return most * max(len(" ".join(g)) for g, c in grams.items() if c == most) / length


def slow_duplicates(words, n, length):
    seen, at, characters = set(), 0, 0
    while at + n <= len(words):
        gram = tuple(words[at : at + n])
        if gram in seen:
            characters += len("".join(gram))
            at += n
        else:
            seen.add(gram)
            at += 1
    return characters / length


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(["a", "bb", "the", "中", "é"]), min_size=1, max_size=60))
def test_ngram_signals_are_those_of_a_slow_twin(words):
    text = " ".join(words)
    found = signals(text, words="spaced")
    for n in (2, 3, 4):
        assert found[f"top_{n}_gram_fraction"] == pytest.approx(slow_top(words, n, len(text)))
    for n in range(5, 11):
        expected = slow_duplicates(words, n, len(text))
        assert found[f"duplicate_{n}_gram_fraction"] == pytest.approx(expected)


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_counts_are_those_of_python(text):
    found = signals(text, words="spaced")
    words = text.split()
    assert found["characters"] == len(text)
    assert found["words"] == len(words)
    if words:
        assert found["newline_word_ratio"] == text.count("\n") / len(words)
        letters = sum(any(c.isalpha() for c in word) for word in words)
        assert found["alphabetic_word_fraction"] == letters / len(words)
    lines = text.splitlines()
    if lines:
        bullets = sum(line.strip().startswith(("•", "-")) for line in lines)
        assert found["bullet_line_fraction"] == bullets / len(lines)
    assert all(np.isfinite(value) for value in found.values())


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, max_size=6), st.sampled_from(["tokens", "spaced"]))
def test_a_text_is_measured_by_itself_whatever_lies_beside_it(texts, words):
    together = measure_quality(pa.array(texts, pa.string()), words=words).to_pylist()
    padded = measure_quality(pa.array(["x", *texts], pa.string()).slice(1), words=words)
    assert together == [signals(text, words=words) for text in texts] == padded.to_pylist()


def test_classes_are_those_of_python_and_unicode():
    table = character_classes()
    for code in [*range(0x3000), 0x3002, 0xFF01, 0x1F600, 0x20000, 0xAC00]:
        character = chr(code)
        assert bool(table[code] & LETTER) == character.isalpha()
        assert bool(table[code] & SPACE) == character.isspace()
        assert bool(table[code] & LINE_END) == (len(f"a{character}b".splitlines()) == 2)
    assert all(table[ord(c)] & SENTENCE_END for c in ".!?。！？।؟۔።។။…"[:-1] if c != "…")


# --- lines ----------------------------------------------------------------------------------------


def test_without_rules_every_text_stays_to_the_byte():
    texts = [" a \r\n\r\n b. \n", "", "x"]
    found = keep_c4_lines(pa.array(texts), rules=[], citations=True)
    assert (found.texts, found.changed) == (texts, [False] * 3)


@settings(max_examples=100, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_kept_lines_are_lines_of_the_text_in_their_order(texts):
    found = keep_c4_lines(pa.array(texts, pa.string()), citations=True)
    for before, after, changed in zip(texts, found.texts, found.changed, strict=True):
        assert changed or before == after
        if changed:
            lines = iter(line.strip() for line in before.splitlines())
            assert all(line in lines for line in after.split("\n") if after)
    assert sum(found.counts.values()) == sum(len(text.splitlines()) for text in texts)


def test_dropping_lines_twice_drops_no_more():
    texts = ["It is well. \nmenu\nIt ends.[2] So it does.[3]\n  No more of it!"]
    once = keep_c4_lines(pa.array(texts))
    assert once.texts == ["It is well.\nIt ends. So it does.\nNo more of it!"]
    assert keep_c4_lines(pa.array(once.texts)).texts == once.texts


def test_an_unknown_rule_is_an_error_that_names_those_there_are():
    with pytest.raises(ValueError, match="no rule 'ends'; there are no_end, few_words"):
        keep_c4_lines(pa.array(["a"]), rules=["ends"])
    assert set(RULES) <= set(VERDICTS)


# --- rules ----------------------------------------------------------------------------------------


def test_presets_hold_the_published_thresholds_and_speak_of_signals_there_are():
    repetition = {rule.signal: rule.threshold for rule in PRESETS["gopher_repetition"]}
    grams = {name: repetition[name] for name in repetition if "gram" in name}
    assert list(grams.values()) == [0.20, 0.18, 0.16, 0.15, 0.14, 0.13, 0.12, 0.11, 0.10]
    assert all(rule.signal in SIGNALS for rules in PRESETS.values() for rule in rules)


@pytest.mark.parametrize(("value", "kept"), [(50, True), (49, False), (100_000, True), (100_001, False),
                                             (float("nan"), True)])  # fmt: skip
def test_a_value_on_a_threshold_passes(value, kept):
    rules = [rule for rule in PRESETS["gopher"] if rule.signal == "content_words"]
    assert (first_failures({"content_words": np.array([value])}, rules, 1)[0] < 0) == kept


def test_thresholds_are_moved_added_and_switched_off_one_by_one():
    rules = choose_rules(["fineweb"], {"terminal_line_fraction": None, "words": 5}, {"words": 9})
    told = [(rule.signal, rule.side, rule.threshold) for rule in rules]
    assert told == [
        ("short_line_fraction", "high", 0.67),
        ("duplicate_character_fraction", "high", 0.01),
        ("newline_word_ratio", "high", 0.3),
        ("words", "low", 5),
        ("words", "high", 9),
    ]


def test_the_first_rule_broken_is_the_one_that_is_told():
    rules = choose_rules([], {"a": 1.0, "b": 1.0}, {})
    values = {"a": np.array([0.0, 2.0, 2.0]), "b": np.array([0.0, 0.0, 2.0])}
    assert first_failures(values, rules, 3).tolist() == [0, 1, -1]
    assert re.fullmatch("a_too_low", rules[0].reason)


def test_an_unknown_preset_is_an_error_that_names_those_there_are():
    with pytest.raises(ValueError, match='no preset "gofer"; there are gopher_quality'):
        choose_rules(["gofer"], {}, {})
