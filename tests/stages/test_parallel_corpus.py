"""The parallel corpus that ships with the stages: its documents and its gold alignments."""

import json
import unicodedata
from collections import Counter
from importlib.resources import files
from typing import Any

CORPUS = files("stages") / "parallel_corpus"
ENGLISH = "eng_Latn"
SCRIPTS = {
    "LATIN": "Latn",
    "CYRILLIC": "Cyrl",
    "GREEK": "Grek",
    "CJK": "Hans",
}


def rows(name: str) -> list[dict[str, Any]]:
    text = (CORPUS / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def documents() -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["group"], row["language"]): row for row in rows("documents.jsonl")}


def shapes(beads: list[list[list[int]]]) -> list[tuple[int, int]]:
    return [(len(source), len(target)) for source, target in beads]


def script_of(text: str) -> str:
    """The script most letters of a text are in, by the first word of their Unicode names."""
    names = Counter(unicodedata.name(char).split()[0] for char in text if char.isalpha())
    return SCRIPTS[names.most_common(1)[0][0]]


def test_ids_are_unique_and_made_of_group_and_language() -> None:
    found = rows("documents.jsonl")
    ids = [row["id"] for row in found]
    assert len(set(ids)) == len(ids)
    assert ids == sorted(ids)
    assert ids == [f"{row['group']}.{row['language']}" for row in found]


def test_at_least_eight_groups_are_present_in_each_of_at_least_six_languages() -> None:
    found = documents()
    groups = {group for group, _ in found}
    languages = {language for _, language in found}
    assert len(groups) >= 8
    assert len(languages) >= 6
    assert ENGLISH in languages
    assert set(found) == {(group, language) for group in groups for language in languages}


def test_the_texts_are_in_at_least_four_scripts_and_each_in_the_script_of_its_language() -> None:
    seen = set()
    for row in rows("documents.jsonl"):
        script = script_of(row["title"] + "".join(row["sentences"]))
        assert script == row["language"].split("_")[1], row["id"]
        seen.add(script)
    assert len(seen) >= 4


def test_no_sentence_or_title_is_empty_or_has_outer_spaces_or_a_newline() -> None:
    for row in rows("documents.jsonl"):
        assert row["sentences"], row["id"]
        for sentence in [row["title"], *row["sentences"]]:
            assert sentence, row["id"]
            assert sentence == sentence.strip(), (row["id"], sentence)
            assert len(sentence.splitlines()) == 1, (row["id"], sentence)


def test_every_pair_with_english_has_gold_exactly_once_and_in_sorted_order() -> None:
    gold = rows("gold.jsonl")
    pairs = [(row["group"], row["target_language"]) for row in gold]
    assert pairs == sorted(key for key in documents() if key[1] != ENGLISH)
    assert {row["source_language"] for row in gold} == {ENGLISH}


def test_gold_covers_each_sentence_of_both_sides_exactly_once_and_in_order() -> None:
    texts = documents()
    for row in rows("gold.jsonl"):
        languages = (row["source_language"], row["target_language"])
        for side, language in enumerate(languages):
            covered = [index for bead in row["beads"] for index in bead[side]]
            count = len(texts[row["group"], language]["sentences"])
            assert covered == list(range(count)), (row["group"], languages, language)


def test_no_bead_is_empty_on_both_sides() -> None:
    for row in rows("gold.jsonl"):
        assert (0, 0) not in shapes(row["beads"]), (row["group"], row["target_language"])


def test_every_document_has_a_split_or_merged_sentence_in_every_language() -> None:
    for row in rows("gold.jsonl"):
        found = set(shapes(row["beads"]))
        assert found & {(1, 2), (2, 1)}, (row["group"], row["target_language"])


def test_most_beads_of_every_language_are_one_to_one_but_not_all() -> None:
    counts: dict[str, Counter[tuple[int, int]]] = {}
    for row in rows("gold.jsonl"):
        counts.setdefault(row["target_language"], Counter()).update(shapes(row["beads"]))
    for language, count in counts.items():
        assert 0.75 <= count[1, 1] / count.total() <= 0.85, language


def test_the_corpus_has_beads_of_every_rarer_shape() -> None:
    found = {shape for row in rows("gold.jsonl") for shape in shapes(row["beads"])}
    assert {(1, 0), (0, 1), (2, 2)} <= found
