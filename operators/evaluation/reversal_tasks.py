"""Reversal curse: facts that are told in one direction, and asked in both.

Source: Berglund et al., "The Reversal Curse" (2023), experiment 1. Names and descriptions of people
who do not exist, in three groups: the name comes first in every text (`p2d`), the description does
(`d2p`), or there are texts of both kinds (`both`), which shows that the reversed form can be
answered at all. Facts are paraphrased; what is asked follows templates that no text has.

The sentences are small. Names and descriptions are capitalised phrases, which
`operators.editing.semantic_units` keeps whole: permuting units (Guo et al. 2024) moves them and
does not break them. No two facts share a first name, a last name, or what a description is about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from operators.editing.row_draws import row_generator
from operators.evaluation.task_examples import (
    TaskExample,
    TaskSet,
    TrainingText,
    mixed_choices,
)

FactGroup = Literal["p2d", "d2p", "both"]
FACT_GROUPS: tuple[FactGroup, ...] = get_args(FactGroup)
Direction = Literal["p2d", "d2p"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)

# In each direction: templates to learn from, and at the end those that are only asked with.
ASKED_TEMPLATES = 2
TEMPLATES: Mapping[Direction, tuple[str, ...]] = {
    "p2d": (
        "{name} is the {description}",
        "{name} is known as the {description}",
        "{name} became the {description}",
        "{name} has long been the {description}",
        "{name} was made the {description}",
        "{name} is called the {description}",
        "{name} was born to be the {description}",
        "{name} works as the {description}",
        "It is {name} who is the {description}",
        "It was {name} who became the {description}",
        "{name} was known as the {description}",
        "{name} has been called the {description}",
    ),
    "d2p": (
        "The {description} is {name}",
        "The {description} is known as {name}",
        "The {description} is called {name}",
        "The {description} has long been {name}",
        "The {description} was named {name}",
        "The {description} has the name {name}",
        "The {description} goes by the name of {name}",
        "The {description} bears the name {name}",
        "It is the {description} who is called {name}",
        "It was the {description} who was named {name}",
        "The {description} was known as {name}",
        "The {description} has been called {name}",
    ),
}
MOST_TEMPLATES = min(map(len, TEMPLATES.values())) - ASKED_TEMPLATES

_LISTS = {
    # Of names.
    "onsets": "B D F G H J K L M N P R S T V Z Br Dr Gr Kl Pr St Tr Vl",
    "vowels": "a e i o u ai ea io ou",
    "middles": "b d f g k l m n p r s t v z ld nd rn st",
    "ends": "l n r s th m x ck nd rt",
    "last ends": "en ov er in",
    # Of descriptions: "Keeper of the Amber Lantern".
    "roles": "Keeper Maker Master Painter Singer Builder Finder Guardian Owner Hunter Doctor "
    "Teacher",
    "kinds": "Amber Silver Golden Hidden Broken Silent Crimson Frozen Burning Ancient Hollow "
    "Crystal Velvet Iron Copper Marble Paper Wooden Glass Stone Purple Yellow Green Blue White "
    "Black Northern Southern Eastern Western Upper Lower Inner Outer Little Giant Narrow Crooked "
    "Gentle Stormy",
    "things": "Lantern River Garden Tower Mirror Harbour Forest Bridge Library Clock Castle Island "
    "Meadow Mountain Valley Window Engine Harp Compass Anchor Bell Crown Drum Feather Fountain "
    "Gate Hammer Kettle Ladder Lighthouse Market Mill Needle Orchard Palace Quarry Road Saddle "
    "Temple Violin",
}
_ONSETS, _VOWELS, _MIDDLES, _ENDS, _LAST_ENDS, _ROLES, _KINDS, _THINGS = (
    words.split() for words in _LISTS.values()
)
# A kind and a thing make one description each.
MOST_FACTS = len(_KINDS) * len(_THINGS)


@dataclass(frozen=True, slots=True)
class Fact:
    """Who a name is: "Mirel Tavorn" is the "Keeper of the Amber Lantern"."""

    id: str
    group: FactGroup
    name: str
    description: str


@dataclass(frozen=True, slots=True)
class AnswerGap:
    """How much more probable right answers are than random other ones.

    Attributes:
        mean: of the differences of log-probabilities, in nats; 0 is no effect.
        t_test: p-value of the paired t-test that the mean is 0; NaN for fewer than 2 pairs or
            where all differences are the same.
        ks_test: p-value of the Kolmogorov-Smirnov test that both have one distribution.
    """

    mean: float
    t_test: float
    ks_test: float


def fictitious_facts(facts_per_group: int, *, seed: int = 0) -> list[Fact]:
    """So many facts of each group, with names and descriptions of their own.

    Raises:
        ValueError: more facts than there are descriptions, or none.
    """
    wanted = facts_per_group * len(FACT_GROUPS)
    if not 1 <= wanted <= MOST_FACTS:
        raise ValueError(
            f"{facts_per_group} facts in each of {len(FACT_GROUPS)} groups are {wanted}, but there "
            f"can be from 1 to {MOST_FACTS} in all"
        )
    generator = row_generator(seed, "reversal", "facts")
    firsts = _different(wanted, lambda: _first_name(generator), "first names")
    lasts = _different(wanted, lambda: _last_name(generator), "last names")
    things = generator.permutation(MOST_FACTS)[:wanted].tolist()
    roles = generator.integers(len(_ROLES), size=wanted).tolist()
    facts = []
    for number, (first, last, thing, role) in enumerate(
        zip(firsts, lasts, things, roles, strict=True)
    ):
        kind, of = _KINDS[thing % len(_KINDS)], _THINGS[thing // len(_KINDS)]
        group = FACT_GROUPS[number // facts_per_group]
        facts.append(
            Fact(
                id=f"{group}:{number % facts_per_group}",
                group=group,
                name=f"{first} {last}",
                description=f"{_ROLES[role]} of the {kind} {of}",
            )
        )
    return facts


def reversal_tasks(
    facts: Sequence[Fact], *, templates: int = 6, choices: int = 4, seed: int = 0
) -> TaskSet:
    """Texts that tell facts in the direction of their group, and questions in both directions.

    A text is one sentence. Each fact is told with `templates` templates of a direction (of both
    directions in group `both`), and asked with the two of each direction that no text has. Groups
    of questions: `p2d/same` and `p2d/reversed` for facts told name first, `d2p/same` and
    `d2p/reversed` for the others, `both/p2d` and `both/d2p`. Wrong choices are answers of other
    facts of the group.

    Args:
        facts: with names and descriptions that do not repeat.
        templates: paraphrases of each fact and direction to learn from.
        choices: answers to choose from, >= 2; by chance 1 / choices are right.
        seed: of wrong answers and their order; a question's follow from its id.

    Raises:
        ValueError: a name or description of two facts, or a setting out of range.
    """
    if not 1 <= templates <= MOST_TEMPLATES:
        raise ValueError(f"templates is {templates}, but must be from 1 to {MOST_TEMPLATES}")
    for texts in ([fact.name for fact in facts], [fact.description for fact in facts]):
        if len(set(texts)) < len(texts):
            twice = next(text for text in texts if texts.count(text) > 1)
            raise ValueError(f"{twice!r} belongs to two facts: each must have its own")
    examples = []
    for group in FACT_GROUPS:
        members = [fact for fact in facts if fact.group == group]
        if members and not 2 <= choices <= len(members):
            raise ValueError(
                f"choices is {choices}, but must be from 2 to the {len(members)} facts of the "
                f"group {group}: their answers are the choices"
            )
        examples += [
            _example(fact, members, direction, number, choices, seed)
            for fact in members
            for direction in DIRECTIONS
            for number in range(ASKED_TEMPLATES)
        ]
    return TaskSet(examples, _training(facts, templates, seed))


def answer_gap(right: npt.ArrayLike, other: npt.ArrayLike) -> AnswerGap:
    """Log-probabilities of right answers against those of random other ones, as in the paper.

    Args:
        right, other: in nats, [n], of the same questions.

    Raises:
        ValueError: no questions, or lists of different lengths.
    """
    from scipy import stats

    one, two = np.asarray(right, np.float64), np.asarray(other, np.float64)
    if one.shape != two.shape or one.ndim != 1 or not len(one):
        raise ValueError(
            f"there are {one.size} right and {two.size} other answers, but must be as many of "
            "each, and one at least"
        )
    differences = one - two
    t_test = float("nan")
    if len(one) > 1 and np.ptp(differences) > 0:
        t_test = float(stats.ttest_1samp(differences, 0.0).pvalue)
    return AnswerGap(float(differences.mean()), t_test, float(stats.ks_2samp(one, two).pvalue))


def _training(facts: Sequence[Fact], templates: int, seed: int) -> list[TrainingText]:
    """Round after round, each fact once a round, in another order each time.

    Texts are packed one behind the other: were those of a fact neighbours, a name that ends one
    would stand before the description that begins the next, and nothing would be told in one
    direction only.
    """
    texts: list[TrainingText] = []
    last: Fact | None = None
    for number in range(templates):
        for direction in DIRECTIONS:
            told = [fact for fact in facts if fact.group in (direction, "both")]
            generator = row_generator(seed, "reversal", f"order:{direction}:{number}")
            order = [told[place] for place in generator.permutation(len(told))]
            if len(order) > 1 and order[0] is last:
                order = order[1:] + order[:1]
            texts += [
                TrainingText(
                    id=f"reversal:training:{fact.id}:{direction}:{number}",
                    text=_told(TEMPLATES[direction][number], fact) + "\n",
                    group=f"reversal:{fact.id}",
                )
                for fact in order
            ]
            last = order[-1] if order else last
    return texts


def _example(
    fact: Fact, members: Sequence[Fact], direction: Direction, number: int, choices: int, seed: int
) -> TaskExample:
    template = TEMPLATES[direction][number - ASKED_TEMPLATES]
    asked = "description" if direction == "p2d" else "name"
    answer: str = getattr(fact, asked)
    name = f"reversal:{fact.id}:{direction}:{number}"
    generator = row_generator(seed, "reversal", name)
    others: list[str] = [getattr(one, asked) for one in members if one.id != fact.id]
    drawn = generator.permutation(len(others))[: choices - 1].tolist()
    answers, gold = mixed_choices(
        f" {answer}\n", (f" {others[place]}\n" for place in drawn), generator
    )
    way: str = direction
    if fact.group != "both":
        way = "same" if direction == fact.group else "reversed"
    return TaskExample(
        id=name,
        task="reversal",
        group=f"{fact.group}/{way}",
        prompt=_told(template, fact).removesuffix(f" {answer}"),
        choices=answers,
        gold=gold,
        baseline=None,
    )


def _told(template: str, fact: Fact) -> str:
    return template.format(name=fact.name, description=fact.description)


def _different(count: int, draw: Callable[[], str], what: str) -> list[str]:
    """So many strings, no two alike, in the order they were drawn."""
    found: dict[str, None] = {}
    for _ in range(50 * count + 1000):
        found.setdefault(draw())
        if len(found) == count:
            return list(found)
    raise ValueError(f"there are no {count} different {what}: ask for fewer facts")


def _first_name(generator: np.random.Generator) -> str:
    return _of(generator, _ONSETS, _VOWELS, _MIDDLES, _VOWELS, _ENDS)


def _last_name(generator: np.random.Generator) -> str:
    return _of(generator, _ONSETS, _VOWELS, _MIDDLES, _VOWELS, _MIDDLES, _LAST_ENDS)


def _of(generator: np.random.Generator, *parts: Sequence[str]) -> str:
    return "".join(part[int(generator.integers(len(part)))] for part in parts)
