"""Answers that a model writes, and how they are compared with the right ones.

Decoding is greedy (temperature 0) with a key-value cache. Prompts of one length are read together
without padding, and every batch has the same number of rows, so an answer does not depend on what
else is asked.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from operators.modeling.execution import inference
from operators.modeling.length_batches import length_batches
from operators.tokenization.byte_tokenizer import ByteTokenizer

Rule = Literal["text", "prefix", "integer", "first_integer"]

# ASCII digits only, and no "1_000": `int` of Python takes more.
_INTEGER = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True)
class GeneratedAnswer:
    """What a model wrote behind a prompt.

    Attributes:
        text: up to the first stop, which is not part of it.
        tokens: how many were written, without the end of text.
        ended_by: what ended it: a stop, the end of text, or the limit.
    """

    text: str
    tokens: int
    ended_by: Literal["stop", "end", "limit"]


def generate_answers(
    model: torch.nn.Module,
    tokenizer: ByteTokenizer,
    prompts: Sequence[str],
    *,
    begin: int,
    context: int,
    max_tokens: int = 32,
    stops: Sequence[str] = ("\n",),
    never_drawn: Sequence[int] = (),
    batch_size: int = 16,
    device: str = "auto",
    threads: int = 1,
) -> list[GeneratedAnswer]:
    """Let a model answer each prompt, greedily.

    Args:
        model: called as ``model(input_ids=..., past_key_values=..., use_cache=True)``; answers with
            ``.logits`` and ``.past_key_values``, as causal models of `transformers` do. Moved to
            ``device``.
        tokenizer: of the model.
        begin: id in front of every document; where the model writes it, the answer is complete.
        context: tokens that the model sees at most. Of a prompt that leaves no room for
            ``max_tokens`` the beginning is cut off.
        max_tokens: of an answer, ``>= 1`` and ``< context``.
        stops: texts that end an answer.
        never_drawn: ids that are not written: special tokens, and rows of the vocabulary beyond the
            tokenizer's. ``begin`` can be although it is among them.
        batch_size: rows of every pass.
        device: ``"auto"``, or a torch device.
        threads: CPU threads; part of the last bits.

    Returns:
        One for each prompt, in order.

    Raises:
        ValueError: a setting out of range, or an empty stop.
    """
    if not 1 <= max_tokens < context:
        raise ValueError(
            f"max_tokens must be >= 1 and < {context}, the context of the model; got {max_tokens}"
        )
    if batch_size < 1 or not all(stops):
        raise ValueError(
            f"batch_size must be >= 1 and no stop empty, got {batch_size}, {list(stops)}"
        )
    ids = [[begin, *one][max_tokens - context :] for one in tokenizer.encode_batch(list(prompts))]
    ends = [stop.encode() for stop in stops]
    answers: list[GeneratedAnswer | None] = [None] * len(ids)
    with inference(model, device, threads) as target:
        barred = torch.tensor(sorted({*never_drawn} - {begin}), dtype=torch.int64, device=target)
        for batch in length_batches(ids, batch_size):
            rows = [ids[batch[min(place, len(batch) - 1)]] for place in range(batch_size)]
            input_ids = torch.tensor(rows, dtype=torch.int64, device=target)
            written: list[list[int]] = [[] for _ in batch]
            seen = [b"" for _ in batch]
            ended: list[Literal["stop", "end"] | None] = [None] * len(batch)
            cache = None
            for _ in range(max_tokens):
                made = model(input_ids=input_ids, past_key_values=cache, use_cache=True)
                cache = made.past_key_values
                logits = made.logits[:, -1].index_fill(-1, barred, -torch.inf)
                drawn = logits.argmax(dim=-1)
                for place, token in enumerate(drawn[: len(batch)].tolist()):
                    if ended[place] is not None:
                        continue
                    if token == begin:
                        ended[place] = "end"
                        continue
                    written[place].append(token)
                    seen[place] += tokenizer.tokens[token]
                    if any(end in seen[place] for end in ends):
                        ended[place] = "stop"
                if None not in ended:
                    break
                input_ids = drawn.unsqueeze(-1)
            for place, row in enumerate(batch):
                text = _before(tokenizer.decode(written[place]), stops)
                answers[row] = GeneratedAnswer(text, len(written[place]), ended[place] or "limit")
    return [answer for answer in answers if answer is not None]


def read_answer(text: str, rule: Rule) -> str | int | None:
    """What an answer says under a rule; None where it says nothing.

    - ``text``, ``prefix``: the text without white space around it.
    - ``integer``: the integer that the whole stripped text is (CharBench: anything else is wrong).
    - ``first_integer``: the first integer in it, as ports of such tasks to `lm_eval` read it.
    """
    stripped = text.strip()
    if rule in ("text", "prefix"):
        return stripped or None
    if rule == "integer":
        found = _INTEGER.fullmatch(stripped)
    elif rule == "first_integer":
        found = _INTEGER.search(stripped)
    else:
        raise ValueError(f"rule is {rule!r}, but must be text, prefix, integer or first_integer")
    return None if found is None else int(found[0])


def is_right(text: str, gold: str, rule: Rule) -> bool:
    """Whether an answer is the right one under a rule.

    Under ``prefix`` it may go on behind the right one; else it must be equal to it.

    Raises:
        ValueError: a right answer that the rule itself does not accept.
    """
    wanted = read_answer(gold, "integer" if rule == "first_integer" else rule)
    if wanted is None:
        raise ValueError(
            f"the right answer {gold!r} is none under the rule {rule!r}: choose another rule"
        )
    found = read_answer(text, rule)
    if rule == "prefix":
        return isinstance(found, str) and found.startswith(str(wanted))
    return found == wanted


def _before(text: str, stops: Sequence[str]) -> str:
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text
