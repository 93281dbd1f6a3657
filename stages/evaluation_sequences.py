"""Ask a model about languages whose truth is known, symbol by symbol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from stages.compute_settings import WindowSettings
from stages.contract import Artifact, Context, Field, Input, Kind, Output, Sink, Stage
from stages.evaluation_means import weighted_means
from stages.kinds import METRICS
from stages.tokenizer_files import end_of_text_id, load_tokenizer

if TYPE_CHECKING:
    from operators.evaluation.symbol_scores import SymbolScores
    from operators.tokenization.byte_tokenizer import ByteTokenizer

# Documents that are read between two signs of life; fixed, so that no float depends on it.
_AT_A_TIME = 32


class FlipFlop(Stage):
    """Read errors of a model on flip-flop texts: the bit behind each `r`, teacher-forced.

    Liu et al. 2023. An error is `greedy` where any other token is as probable as the right bit, or
    more, and `binary` where the wrong bit is. A correct algorithm makes none. Beside it stand a
    rule that copies the bit before, and the better of the two constant answers.
    """

    word = "evaluation.flip_flop"
    libraries = ("torch", "transformers")
    Config = WindowSettings

    inputs = {
        "model": Input(Kind.MODEL, "what is asked; its tokenizer has one token a symbol"),
        "documents": Input(Kind.DOCUMENTS, "held-out texts of tasks.flip_flop"),
    }
    outputs = {
        "scores": Output(
            Kind.METRICS,
            "by document and tail (`group`; weight: reads): read_error, read_error_binary, margin "
            "in nats, and read_error_copied of the rule",
        )
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        from operators.evaluation.flip_flop import (
            BITS,
            SYMBOLS,
            copied_bits,
            error_rate,
            fault_of,
            read_positions,
            read_scores,
            read_truths,
        )

        table = inputs["documents"].table()
        names, texts = (table.column(name).to_pylist() for name in ("id", "text"))
        tails = _column(table, "tail", "all")
        for name, text in zip(names, texts, strict=True):
            fault = fault_of(text)
            if fault is not None:
                raise ValueError(f'the text of "{name}" is no flip-flop text: {fault}')
        reader = SymbolReader(inputs["model"], self.config, "".join(SYMBOLS))
        rows: list[dict[str, Any]] = []
        answers: dict[str, list[int]] = {}
        scored = reader.read(texts, BITS, context)
        for name, tail, text, scores in zip(names, tails, texts, scored, strict=True):
            places, truths = read_positions(text), read_truths(text)
            found = read_scores(truths, scores.symbols[places], scores.best_other[places])
            answers.setdefault(tail, []).extend(truths.tolist())
            rows += [
                {"id": name, "metric": metric, "value": value, "weight": float(found.reads),
                 "group": tail}
                for metric, value in (
                    ("read_error", found.greedy_error_rate),
                    ("read_error_binary", found.binary_error_rate),
                    ("margin", found.margin),
                    ("read_error_copied", error_rate(text, copied_bits(text))),
                )
            ]  # fmt: skip
        _check_any(rows, "flip-flop texts")
        outputs["scores"].write(pa.Table.from_pylist(rows, METRICS))
        for tail, bits in answers.items():
            context.metric(f"{tail}.reads", len(bits))
            ones = sum(bits) / len(bits)
            context.metric(f"{tail}.read_error_constant", min(ones, 1 - ones))
        for metric, value in weighted_means(rows, by_group=True).items():
            context.metric(metric, value)


class Automata(Stage):
    """How well a model infers automata from their strings: what is legal next, and how likely.

    Akyürek et al. 2024. `accuracy` is the share of symbols at which the most probable one is legal,
    `tvd` the total variation distance to the uniform distribution over the legal ones. Both are
    asked given that the string goes on: separator and end of text take no part. Beside them stand
    n-grams of the same context with back-off, and a uniform guess.
    """

    word = "evaluation.automata"
    libraries = ("torch", "transformers")

    class Config(WindowSettings):
        orders: tuple[int, ...] = Field(
            (2, 3), description="n of the n-grams that stand beside the model"
        )

    inputs = {
        "model": Input(Kind.MODEL, "what is asked; its tokenizer has one token a symbol"),
        "documents": Input(Kind.DOCUMENTS, "held-out documents of tasks.automata"),
    }
    outputs = {
        "scores": Output(
            Kind.METRICS,
            "by document (`group`: states of its automaton; weight: symbols): accuracy and tvd, of "
            "the model and with the ending of each baseline",
        )
    }

    def run(self, inputs: Mapping[str, Any], outputs: Mapping[str, Sink], context: Context) -> None:
        import numpy as np

        from operators.evaluation.automata import ALPHABET, SEPARATOR, Automaton
        from operators.evaluation.automata_baselines import ngram_predictions
        from operators.evaluation.automata_truth import closeness, legal_symbols

        table = inputs["documents"].table()
        names, texts = (table.column(name).to_pylist() for name in ("id", "text"))
        if "automaton" not in table.column_names:
            raise ValueError(
                'the documents have no column "automaton", which holds the truth: give those of '
                "tasks.automata"
            )
        automata = [Automaton.from_json(text) for text in table.column("automaton").to_pylist()]
        truths = [
            legal_symbols(automaton, text) for automaton, text in zip(automata, texts, strict=True)
        ]
        reader = SymbolReader(inputs["model"], self.config, ALPHABET + SEPARATOR)
        scored = reader.read(texts, ALPHABET, context, never=SEPARATOR)
        rows: list[dict[str, Any]] = []
        for name, automaton, text, truth, scores in zip(
            names, automata, texts, truths, scored, strict=True
        ):
            places = truth.positions
            if not len(places):
                continue
            found = {
                "": closeness(
                    truth.legal,
                    np.exp(scores.symbols[places]),
                    np.exp(scores.others[places]),
                    np.exp(scores.best_other[places]),
                )
            }
            for order in self.config.orders:
                guess = ngram_predictions(text, order)[places]
                found[f"_{order}_gram"] = closeness(truth.legal, guess)
            uniform = np.full(truth.legal.shape, 1 / len(ALPHABET))
            found["_uniform"] = closeness(truth.legal, uniform)
            group = f"{len(automaton.edges)} states"
            rows += [
                {"id": name, "metric": f"{metric}{who}", "value": getattr(close, metric),
                 "weight": float(len(places)), "group": group}
                for who, close in found.items()
                for metric in ("accuracy", "tvd")
            ]  # fmt: skip
        _check_any(rows, "documents of automata")
        outputs["scores"].write(pa.Table.from_pylist(rows, METRICS))
        for metric, value in weighted_means(rows).items():
            context.metric(metric, value)


class SymbolReader:
    """A model that reads texts whose tokens are single symbols.

    Raises:
        ValueError: its tokenizer has other tokens for the symbols than one each.
    """

    def __init__(self, artifact: Artifact, config: WindowSettings, alphabet: str) -> None:
        from operators.modeling import load_model

        self._config = config
        self._model = load_model(str(artifact.folder()), device=config.device)
        self._tokenizer = load_tokenizer(artifact)
        self._ids = symbol_ids(self._tokenizer, alphabet)

    def read(
        self,
        texts: Sequence[str],
        symbols: Sequence[str],
        context: Context,
        *,
        never: str | None = None,
    ) -> Iterator[SymbolScores]:
        """What the model gives the symbols at each place.

        With `never`, given that these symbols and the end of text do not come.
        """
        from operators.evaluation.symbol_scores import symbol_scores

        config = self._config
        length = int(self._model.config.max_position_embeddings)
        end = end_of_text_id(self._tokenizer)
        left_out = [] if never is None else [end, *(self._ids[symbol] for symbol in never)]
        for start in range(0, len(texts), _AT_A_TIME):
            some = texts[start : start + _AT_A_TIME]
            yield from symbol_scores(
                self._model,
                encode_symbols(self._tokenizer, some, self._ids),
                [self._ids[symbol] for symbol in symbols],
                left_out=left_out,
                context_length=length,
                stride=config.stride or max(1, length // 2),
                bos_token_id=end,
                batch_size=config.batch_size,
                device=config.device,
                threads=config.threads,
            )
            context.progress(start + len(some), len(texts), "documents")


def symbol_ids(tokenizer: ByteTokenizer, alphabet: str) -> dict[str, int]:
    """The token of each symbol.

    Raises:
        ValueError: a symbol is no single token.
    """
    ids = {}
    for symbol in alphabet:
        encoded = tokenizer.encode(symbol)
        if len(encoded) != 1:
            raise ValueError(
                f'the tokenizer of the model has {len(encoded)} tokens for the symbol "{symbol}": '
                "train one with tokenizer.train and vocab_size 257, which has one for each byte"
            )
        ids[symbol] = encoded[0]
    return ids


def encode_symbols(
    tokenizer: ByteTokenizer, texts: Sequence[str], ids: Mapping[str, int]
) -> list[list[int]]:
    """Texts as the tokens of their symbols.

    Raises:
        ValueError: the tokenizer encodes one of them otherwise: it joins symbols to larger tokens.
    """
    encoded = [list(tokens) for tokens in tokenizer.encode_batch(texts)]
    for text, tokens in zip(texts, encoded, strict=True):
        if tokens != [ids[symbol] for symbol in text]:
            raise ValueError(
                f"the tokenizer of the model has {len(tokens)} tokens for a text of {len(text)} "
                "symbols, so that a token is no symbol: train one with tokenizer.train and "
                "vocab_size 257, which joins nothing"
            )
    return encoded


def _column(table: pa.Table, name: str, otherwise: str) -> list[str]:
    if name in table.column_names:
        return [value or otherwise for value in table.column(name).to_pylist()]
    return [otherwise] * table.num_rows


def _check_any(rows: Sequence[Any], what: str) -> None:
    if not rows:
        raise ValueError(f"there are no {what} to score")
