"""The page and the figures of `semantics.shift`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_WORDS_SHOWN = 30
_REACH = 60


def figures(
    rows: Sequence[Mapping[str, Any]],
    senses: Sequence[Mapping[str, Any]],
    vectors: Mapping[str, Any],
) -> dict[str, bytes]:
    """Words by their PRT above chance, with intervals; usages of the first of them in the plane.

    Args:
        rows, senses: of the outputs of the stage.
        vectors: of the usages, by id.
    """
    from operators.plotting import intervals, scatter_groups

    ranked = by_shift(rows)
    shown = ranked[:_WORDS_SHOWN]
    made = {
        "shift": intervals(
            [row["id"] for row in shown],
            [row["value"] - row["expected"] for row in shown],
            [row["low"] - row["expected"] for row in shown],
            [row["high"] - row["expected"] for row in shown],
            title="Words by how far they moved",
            xlabel="PRT above chance: cosine distance of the centroids",
        )
    }
    top = ranked[0]["id"]
    usages = sorted((usage for usage in senses if usage["word"] == top), key=_place)
    points, shares = _plane(np.array([vectors[usage["id"]] for usage in usages]))
    made["usages"] = scatter_groups(
        points,
        [usage["period"] for usage in usages],
        [usage["sense"] for usage in usages],
        title=f'Usages of "{top}"',
        xlabel=f"first principal component ({shares[0]:.0%} of the variance)",
        ylabel=f"second ({shares[1]:.0%})",
    )
    return made


def report(
    title: str,
    rows: Sequence[Mapping[str, Any]],
    senses: Sequence[Mapping[str, Any]],
    examples: int,
    confidence: float,
) -> str:
    """The page in Markdown: a table of words, then the senses of each with typical usages."""
    values = {(row["id"], row["metric"]): row for row in rows if row["metric"] != "sense_gain"}
    lines = [
        f"# {title}",
        "",
        f"| word | usages | PRT | {confidence:.0%} interval | by chance | q | APD | JSD (bits) | "
        "senses |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in by_shift(rows):
        word = row["id"]
        lines.append(
            f"| {_cell(word)} | {row['weight']:.0f} | {row['value']:.3f} | "
            f"{row['low']:.3f} to {row['high']:.3f} | {row['expected']:.3f} | "
            f"{row['q_value']:.3f} | {values[word, 'apd']['value']:.3f} | "
            f"{values[word, 'jsd']['value']:.3f} | {values[word, 'senses']['value']:.0f} |"
        )
    lines += [
        "",
        "*By chance*: the mean PRT when usages change their corpus at random. *q*: the share of "
        "false finds among all words with a q so low or lower.",
    ]
    gains = {(row["id"], int(row["group"])): row["value"]
             for row in rows if row["metric"] == "sense_gain"}  # fmt: skip
    for row in by_shift(rows):
        word = row["id"]
        lines += ["", f"## {word}", ""]
        for sense in sorted(s for w, s in gains if w == word):
            lines.append(f"**Sense {sense}** ({gains[word, sense]:+.0%} of the usages)")
            lines.append("")
            for usage in senses:
                if (usage["word"], usage["sense"]) == (word, sense) and usage["rank"] < examples:
                    lines.append(f"- *{usage['period']}*: {_in_context(usage)}")
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def by_shift(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of PRT, those furthest above chance first, equals by their word."""
    found = [row for row in rows if row["metric"] == "prt"]
    return sorted(found, key=lambda row: (row["expected"] - row["value"], row["id"]))


def _place(usage: Mapping[str, Any]) -> tuple[bool, int, str]:
    return (usage["period"] != "old", usage["sense"], usage["id"])


def _plane(vectors: Any) -> tuple[Any, list[float]]:
    """The two principal components, and their shares of the variance."""
    centred = vectors - vectors.mean(axis=0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    left = left[:, :2]
    signs = np.sign(left[np.abs(left).argmax(axis=0), np.arange(left.shape[1])])
    points = np.zeros((len(vectors), 2))
    points[:, : left.shape[1]] = left * signs * values[: left.shape[1]]
    total = float((values**2).sum()) or 1.0
    shares = [float(value**2) / total for value in values[:2]]
    return points, [*shares, 0.0][:2]


def _in_context(usage: Mapping[str, Any]) -> str:
    """The word in bold with some of what is around it."""
    text, start, end = usage["text"], usage["start"], usage["end"]
    before, after = text[:start][-_REACH:], text[end:][:_REACH]
    if start > _REACH:
        before = "… " + before.partition(" ")[2]
    if len(text) - end > _REACH:
        after = after.rpartition(" ")[0] + " …"
    return f"{_cell(before)}**{_cell(text[start:end])}**{_cell(after)}"


def _cell(text: str) -> str:
    """Text as it is, not as Markdown would take it."""
    for sign in "\\`*_|<":
        text = text.replace(sign, "\\" + sign)
    return text
