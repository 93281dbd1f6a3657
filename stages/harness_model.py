"""Our models as the harness of EleutherAI (`lm_eval`) asks for them, on our own scorers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stages.editing_prior import Prior

# What `lm_eval` lets its own models write where a task does not say.
_MOST_TOKENS = 256
_AT_A_TIME = 512


def harness_model(
    prior: Prior,
    *,
    batch_size: int,
    device: str,
    threads: int,
    told: Callable[[int], None] = lambda requests: None,
) -> Any:
    """An `lm_eval.api.model.LM`.

    - `loglikelihood` is `operators.evaluation.choices`: what `evaluation.tasks` scores with. End of
      text stands before every prompt, as in training (`lm_eval`'s own models put it, or nothing,
      before empty prompts only).
    - `loglikelihood_rolling` is `operators.modeling.score_documents`: each token once, in windows
      that move by half of the context.
    - `generate_until` is `operators.evaluation.generated_answers`: greedy, and a prompt keeps at
      least half of the context.

    Args:
        told: called with the number of requests that were done.
    """
    from lm_eval.api.model import LM

    from operators.evaluation.choices import encode_choices, score_choices
    from operators.evaluation.generated_answers import generate_answers
    from operators.modeling.scoring import score_documents

    settings: dict[str, Any] = {"batch_size": batch_size, "device": device, "threads": threads}

    class Scored(LM):  # type: ignore[misc]
        def loglikelihood(
            self, requests: Sequence[Any], disable_tqdm: bool = False
        ) -> list[tuple[float, bool]]:
            answers: list[tuple[float, bool]] = []
            for start in range(0, len(requests), _AT_A_TIME):
                pairs = [request.args[:2] for request in requests[start : start + _AT_A_TIME]]
                encoded = encode_choices(prior.tokenizer, pairs, prior.end_of_text)
                scores = score_choices(prior.model, encoded, context=prior.context, **settings)
                answers += [(score.log_probability, score.greedy) for score in scores]
                told(len(pairs))
            return answers

        def loglikelihood_rolling(
            self, requests: Sequence[Any], disable_tqdm: bool = False
        ) -> list[float]:
            totals: list[float] = []
            for start in range(0, len(requests), _AT_A_TIME):
                texts = [request.args[0] for request in requests[start : start + _AT_A_TIME]]
                nats = score_documents(
                    prior.model,
                    prior.tokenizer.encode_batch(texts),
                    context_length=prior.context,
                    stride=max(1, prior.context // 2),
                    bos_token_id=prior.end_of_text,
                    **settings,
                )
                totals += [-float(losses.sum()) for losses in nats]
                told(len(texts))
            return totals

        def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
            by_rule: dict[tuple[tuple[str, ...], int], list[int]] = {}
            for number, request in enumerate(requests):
                by_rule.setdefault(decoding(request.args[1]), []).append(number)
            answers = [""] * len(requests)
            for (stops, most), numbers in by_rule.items():
                written = generate_answers(
                    prior.model,
                    prior.tokenizer,
                    [requests[number].args[0] for number in numbers],
                    begin=prior.end_of_text,
                    context=prior.context,
                    max_tokens=min(most, prior.context // 2),
                    stops=stops,
                    never_drawn=prior.never_drawn,
                    **settings,
                )
                for number, answer in zip(numbers, written, strict=True):
                    answers[number] = answer.text
                told(len(numbers))
            return answers

    return Scored()


def decoding(settings: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    """Stops, and tokens at most, of a request to generate.

    Raises:
        ValueError: a request to sample.
    """
    if settings.get("do_sample") and settings.get("temperature", 1.0) > 0:
        raise ValueError(
            "the task asks to sample its answers (do_sample: true), and answers are decoded "
            "greedily here: set generation_kwargs: {do_sample: false} in the task's YAML"
        )
    until = settings.get("until") or ()
    stops = (until,) if isinstance(until, str) else tuple(until)
    named = ("max_gen_toks", "max_new_tokens", "max_tokens")
    most = next((settings[name] for name in named if settings.get(name)), _MOST_TOKENS)
    return tuple(stop for stop in stops if stop), int(most)
