"""Languages that are made of symbols, and whose truth is known: to train on, and to be asked about.

A symbol is one ASCII character, and nothing stands between symbols. A byte-level tokenizer without
merges (`tokenizer.train` with `vocab_size: 257`) has one token a symbol.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Literal

import pyarrow as pa
from pydantic import ValidationInfo, field_validator

from stages.contract import Context, Field, Kind, Output, Sink, Stage, StageConfig
from stages.kinds import DOCUMENTS, METRICS

# What the evaluation of a language needs to know of a document.
FLIP_FLOP_DOCUMENTS = pa.schema([*DOCUMENTS, ("tail", pa.string())])
AUTOMATA_DOCUMENTS = pa.schema([*DOCUMENTS, ("automaton", pa.string())])

_SHARD_ROWS = 1024

# Texts that are drawn for a document before it is told that nearly all of them are held out.
_MOST_DRAWS = 100


class FlipFlop(Stage):
    """Flip-flop texts: read back the bit that was written last, however long ago that was.

    Liu et al. 2023. Training texts have instructions in one proportion (`ignore`), or a share of
    them in another (`rare_share`, `rare_ignore`); held-out texts in that of each tail, as many as
    it takes to have so many reads. No held-out text is a training text.
    """

    word = "tasks.flip_flop"

    class Config(StageConfig):
        count: int = Field(2000, ge=1, description="training texts")
        pairs: int = Field(256, ge=2, description="of instruction and bit in a text")
        ignore: float = Field(
            0.8, ge=0, le=1, description="probability of the instruction to ignore, in training"
        )
        rare_share: float = Field(
            0.0, ge=0, le=1, description="of the training texts that have `rare_ignore` instead"
        )
        rare_ignore: float = Field(
            0.98, ge=0, le=1, description="probability of the instruction to ignore in these"
        )
        tails: dict[str, float] = Field(
            {"trained": 0.8, "sparse": 0.98, "dense": 0.1},
            min_length=1,
            description="held-out sets: a name, and its probability of the instruction to ignore",
        )
        reads: int = Field(
            2000, ge=1, description="in each held-out set, at least; the paper asks for 100,000"
        )
        seed: int = Field(0, description="of the draws; each text has a stream of its own")

        @field_validator("tails")
        @classmethod
        def _are_probabilities(cls, tails: dict[str, float]) -> dict[str, float]:
            for name, ignore in tails.items():
                if not 0 <= ignore <= 1:
                    raise ValueError(f"{name} is {ignore}, which is no probability")
                if not name.replace("_", "").replace("-", "").isalnum():
                    raise ValueError(f'"{name}" must be of letters, digits, _ and -')
            return tails

    inputs = {}
    outputs = {
        "documents": Output(Kind.DOCUMENTS, "training texts"),
        "heldout": Output(Kind.DOCUMENTS, "texts of each tail, named in `tail`"),
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.evaluation.flip_flop import flip_flop_text, read_positions

        config = self.config
        held_out: set[str] = set()
        rows: list[dict[str, Any]] = []
        for tail, ignore in config.tails.items():
            reads = texts = 0
            while reads < config.reads:
                name = f"flip-flop:{tail}:{texts}"
                text = flip_flop_text(name, pairs=config.pairs, ignore=ignore, seed=config.seed)
                rows.append(_document(name, text, "flip_flop", tail=tail))
                held_out.add(text)
                reads += len(read_positions(text))
                texts += 1
            context.metric(f"{tail}.reads", reads)
            context.metric(f"{tail}.documents", texts)
        _write(rows, FLIP_FLOP_DOCUMENTS, outputs["heldout"])

        rare = round(config.count * config.rare_share)

        def training(number: int) -> dict[str, Any]:
            # The rare ones are spread evenly, so that no shard is without them.
            is_rare = (number + 1) * rare // config.count > number * rare // config.count
            ignore = config.rare_ignore if is_rare else config.ignore
            name = f"flip-flop:training:{number}"
            text = _not_held_out(
                name,
                lambda draw: flip_flop_text(
                    draw, pairs=config.pairs, ignore=ignore, seed=config.seed
                ),
                held_out,
                "give texts more pairs",
            )
            return _document(name, text, "flip_flop", tail="rare" if is_rare else "training")

        _write(map(training, range(config.count)), FLIP_FLOP_DOCUMENTS, outputs["documents"])
        context.metric("documents", config.count)


class Automata(Stage):
    """Strings of random automata, a document each: what is legal must be inferred in context.

    Akyürek et al. 2024 (RegBench), whose values are the defaults. Automata are minimal, and no
    state leads to itself. A held-out automaton has the shape of no training automaton: it is none
    of them with other symbols, whatever the counts and seeds.
    """

    word = "tasks.automata"

    class Config(StageConfig):
        count: int = Field(5000, ge=1, description="automata to train on")
        heldout: int = Field(500, ge=1, description="automata that are held out")
        states: tuple[int, int] = Field(
            (4, 12), description="fewest and most, before those that are reached by none or alike "
            "are taken out",
        )  # fmt: skip
        symbols: tuple[int, int] = Field(
            (4, 18), description="fewest and most of an automaton, out of the letters a to r"
        )
        edges: tuple[int, int] = Field((1, 3), description="fewest and most that leave a state")
        strings: tuple[int, int] = Field((10, 20), description="fewest and most in a document")
        lengths: tuple[int, int] = Field((1, 49), description="fewest and most symbols of a string")
        seed: int = Field(0, description="of the draws; each automaton has a stream of its own")

        @field_validator("states", "symbols", "edges", "strings", "lengths")
        @classmethod
        def _goes_up(cls, ends: tuple[int, int]) -> tuple[int, int]:
            if not 1 <= ends[0] <= ends[1]:
                raise ValueError(f"{list(ends)} must be 1 or more, fewest first")
            return ends

    inputs = {}
    outputs = {
        "documents": Output(Kind.DOCUMENTS, "strings of training automata; with `automaton`"),
        "heldout": Output(
            Kind.DOCUMENTS, "strings of automata that are held out; with `automaton`"
        ),
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.evaluation.automata import Family, automata, automaton_text

        config = self.config
        family = Family(config.states, config.symbols, config.edges, config.strings, config.lengths)
        for output, side, count in (
            ("documents", "training", config.count),
            ("heldout", "held-out", config.heldout),
        ):
            names = [f"automaton:{side}:{number}" for number in range(count)]
            made = automata(names, held_out=side == "held-out", family=family, seed=config.seed)

            def rows(names: list[str] = names, made: Any = made) -> Iterator[dict[str, Any]]:
                for done, (name, automaton) in enumerate(zip(names, made, strict=True)):
                    text = automaton_text(automaton, name, family=family, seed=config.seed)
                    yield _document(name, text, "automata", automaton=automaton.to_json())
                    context.progress(done + 1, len(names), "automata")

            _write(rows(), AUTOMATA_DOCUMENTS, outputs[output])
            context.metric(output, count)


class Markov(Stage):
    """Texts of a Markov source, whose entropies are known exactly.

    After Rajaraman et al. 2024. `switching`: of two symbols each is decided by the one `order`
    places before it. `random`: a distribution for each context of `order` symbols. `given`: yours.
    The scores of `evaluation.language_model` are in bits per byte, which is per symbol: at the
    entropy rate a model knows the source, at the unigram entropy it sees no dependency. `truths`
    has both, and what the source itself gives each held-out text, as scores of one more arm.
    """

    word = "tasks.markov"

    class Config(StageConfig):
        chain: Literal["switching", "random", "given"] = Field(
            "switching", description="switching, random, or given in `transitions`"
        )
        order: int = Field(1, ge=1, description="symbols back that a symbol depends on")
        p: float = Field(0.9, gt=0, le=1, description="switching: probability of b after a")
        q: float = Field(0.9, gt=0, le=1, description="switching: probability of a after b")
        symbols: int = Field(2, ge=2, le=26, description="random: size of the alphabet")
        concentration: float = Field(
            1.0, gt=0, description="random: of the Dirichlet distribution of rows; small: peaked"
        )
        transitions: list[list[float]] | None = Field(
            None, validate_default=True,
            description="given: a row a context, in the order aa, ab, ba, bb; a column a symbol",
        )  # fmt: skip
        count: int = Field(2000, ge=1, description="training texts")
        heldout: int = Field(200, ge=1, description="texts that are held out")
        length: int = Field(512, ge=1, description="symbols of a text")
        seed: int = Field(0, description="of texts, and of the rows of a random chain")

        @field_validator("transitions")
        @classmethod
        def _belongs_to_given(
            cls, transitions: list[list[float]] | None, info: ValidationInfo
        ) -> list[list[float]] | None:
            if (info.data.get("chain") == "given") != (transitions is not None):
                raise ValueError("goes with `chain: given`, which needs it: set both or none")
            return transitions

    inputs = {}
    outputs = {
        "documents": Output(Kind.DOCUMENTS, "training texts"),
        "heldout": Output(Kind.DOCUMENTS, "texts that are held out"),
        "truths": Output(
            Kind.METRICS,
            "entropy_rate, unigram_entropy and entropy_of_a_text of the source; by held-out text "
            "bits_per_byte under the source itself, and unigram_bits_per_byte (weight: bytes)",
        ),
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.evaluation.markov_source import MarkovSource, random_source, switching

        config = self.config
        if config.chain == "switching":
            source = switching(config.order, config.p, config.q)
        elif config.chain == "random":
            source = random_source(
                config.order,
                config.symbols,
                concentration=config.concentration,
                seed=config.seed,
            )
        else:
            source = MarkovSource(config.transitions)

        names = [f"markov:held-out:{number}" for number in range(config.heldout)]
        held_out = dict(
            zip(names, source.texts(names, config.length, seed=config.seed), strict=True)
        )
        rows = [_document(name, text, "markov") for name, text in held_out.items()]
        _write(rows, DOCUMENTS, outputs["heldout"])

        names = [f"markov:training:{number}" for number in range(config.count)]
        drawn = source.texts(names, config.length, seed=config.seed)
        known = set(held_out.values())

        def training(name: str, text: str) -> dict[str, Any]:
            def draw(again: str) -> str:
                if again == name:
                    return text
                return next(source.texts([again], config.length, seed=config.seed))

            kept = _not_held_out(name, draw, known, "make them longer")
            return _document(name, kept, "markov")

        _write(map(training, names, drawn), DOCUMENTS, outputs["documents"])

        truths = {
            "entropy_rate": source.entropy_rate,
            "unigram_entropy": source.unigram_entropy,
            "entropy_of_a_text": source.expected_bits(config.length) / config.length,
        }
        for metric, value in truths.items():
            context.metric(metric, value)
        scores = [_score("source", metric, value, 1.0) for metric, value in truths.items()]
        for name, text in held_out.items():
            size = len(text)
            scores += [
                _score(name, "bits_per_byte", source.bits(text) / size, size),
                _score(name, "unigram_bits_per_byte", source.unigram_bits(text) / size, size),
            ]
        outputs["truths"].write(pa.Table.from_pylist(scores, METRICS))
        context.metric("documents", config.count)
        context.metric("heldout", config.heldout)


def _not_held_out(name: str, draw: Callable[[str], str], held_out: set[str], cure: str) -> str:
    """The text of a name, or of the first name after it whose text is not held out.

    Raises:
        ValueError: nearly all texts there are.
    """
    for number in range(_MOST_DRAWS):
        text = draw(f"{name}:again:{number}" if number else name)
        if text not in held_out:
            return text
    raise ValueError(
        f'"{name}" was drawn {_MOST_DRAWS} times, and each time as a text that is held out: there '
        f"are too few different texts; {cure}, or hold out fewer"
    )


def _document(name: str, text: str, source: str, **more: str) -> dict[str, Any]:
    return {
        "id": name, "text": text, "language": "und", "source": f"tasks://{source}", "group": None,
        "edits": [], **more,
    }  # fmt: skip


def _score(name: str, metric: str, value: float, weight: float) -> dict[str, Any]:
    return {"id": name, "metric": metric, "value": value, "weight": float(weight), "group": None}


def _write(rows: Iterable[dict[str, Any]], schema: pa.Schema, sink: Sink) -> None:
    """In shards, so that what follows can be spread over workers."""
    iterator = iter(rows)
    while shard := list(islice(iterator, _SHARD_ROWS)):
        sink.write(pa.Table.from_pylist(shard, schema))
