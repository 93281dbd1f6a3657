"""Phrases of a sentence: from a bracketed parse, or, without a parser, by marker words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

PHRASE_LABELS = frozenset({"NP", "VP", "PP", "ADJP", "ADVP"})

# English closed-class words and the phrase that begins with them.
_MARKERS = {
    "NP": "a an the this that these those my your his her its our their some any no each every "
    "another both few many much several all most such what which whose",
    "PP": "in on at by for from of to with without about above across after against along among "
    "around as before behind below beneath beside between beyond despite down during except "
    "inside into like near off onto out over past since through throughout toward towards under "
    "until up upon via within",
    "VP": "am is are was were be been being do does did have has had can could may might must "
    "shall should will would cannot",
    "PRON": "i you he she it we they me him us them who whom myself yourself himself herself "
    "itself ourselves themselves someone somebody anyone anybody everyone nobody nothing "
    "something everything",
    "CONJ": "and or but nor so yet because if while when where although though unless whether "
    "than once",
}  # fmt: skip
_MARKER = {word: label for label, words in _MARKERS.items() for word in words.split()}
_LETTER = re.compile(r"\w")
_BRACKET = re.compile(r"\(|\)|[^\s()]+")


@dataclass(frozen=True, slots=True)
class Phrase:
    """Tokens [start, end) with a label: "NP", "VP", "PP", "ADJP", "ADVP", or a part of speech."""

    start: int
    end: int
    label: str


def parse_brackets(text: str) -> tuple[list[str], list[Phrase]]:
    """Tokens and constituents of a Penn Treebank tree, parts of speech included.

    Grammatical functions are cut off ("NP-SBJ" is "NP"). Phrases come by position, longest first;
    a part of speech is a phrase of one token.

    Raises:
        ValueError: brackets that do not match, or text outside of them.
    """
    tokens: list[str] = []
    phrases: list[Phrase] = []
    waiting: list[tuple[str, int]] = []
    parts = _BRACKET.findall(text)
    position = 0
    while position < len(parts):
        part = parts[position]
        if part == "(":
            after = parts[position + 1] if position + 1 < len(parts) else ")"
            labelled = after not in "()"
            waiting.append((after if labelled else "", len(tokens)))
            position += 1 + labelled
            continue
        if not waiting:
            raise ValueError(f'"{part}" stands outside of the brackets in "{text[:60]}"')
        if part == ")":
            label, start = waiting.pop()
            if len(tokens) > start and label:
                name = label if label.startswith("-") else re.split("[-=]", label)[0]
                phrases.append(Phrase(start, len(tokens), name))
        else:
            tokens.append(part)
        position += 1
    if waiting:
        raise ValueError(f'{len(waiting)} brackets are left open in "{text[:60]}"')
    return tokens, sorted(phrases, key=lambda phrase: (phrase.start, -phrase.end, phrase.label))


def constituents(phrases: Sequence[Phrase], length: int) -> list[Phrase]:
    """NP, VP, PP, ADJP and ADVP below the whole sentence, each span once, by position."""
    spans: dict[tuple[int, int], Phrase] = {}
    for phrase in phrases:
        if phrase.label in PHRASE_LABELS and phrase.end - phrase.start < length:
            spans.setdefault((phrase.start, phrase.end), phrase)
    return [spans[span] for span in sorted(spans)]


def marker_chunks(tokens: Sequence[str]) -> list[Phrase]:
    """Chunks of an English sentence that begin at closed-class words (Green 1979).

    The marker hypothesis says that the function words of a language mark where its phrases begin;
    Way and Gough (2003) chunk bitext by it. A chunk begins at a marker word, or after punctuation,
    and ends before the next; one without any open-class word takes the next chunk along. Its label
    is that of its marker: NP (determiners), PP (prepositions), VP (auxiliaries; chunks without a
    marker or with one of another kind too, since an English clause goes on with its verb there).
    Pronouns and conjunctions begin a chunk and are left out of it. This is no parse: there is no
    nesting, and chunks of lexical verbs and nouns run together.
    """
    chunks: list[Phrase] = []
    start, label, has_content = 0, "VP", False

    def close(end: int) -> None:
        if has_content and end > start:
            chunks.append(Phrase(start, end, label))

    for position, token in enumerate(tokens):
        kind = _MARKER.get(token.lower())
        if not _LETTER.search(token):
            close(position)
            start, label, has_content = position + 1, "VP", False
        elif kind is None:
            has_content = True
        elif kind in ("PRON", "CONJ"):
            close(position)
            start, label, has_content = position + 1, "VP", False
        elif has_content:
            close(position)
            start, label, has_content = position, kind, False
        elif start == position:
            label = kind
    close(len(tokens))
    return [chunk for chunk in chunks if chunk.end - chunk.start < len(tokens)]
