"""Trained tokenizers must be the same wherever and in whatever order they are trained."""

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from operators.tokenization import TokenizerConfig
from operators.tokenization.config import ALGORITHMS
from operators.tokenization.laboratory import train_tokenizer

REPOSITORY = Path(__file__).parents[3]


def corpus(seed: int = 0, texts: int = 300) -> list[str]:
    # Few letters and short words: many pairs and pieces tie, which is where order could decide.
    generator = random.Random(seed)
    words = ["".join(generator.choices("abcdé😀ש", k=generator.randint(1, 6))) for _ in range(200)]
    return [" ".join(generator.choices(words, k=12)) for _ in range(texts)]


def trained(algorithm: str, texts: list[str], vocab_size: int = 450) -> str:
    config = TokenizerConfig(algorithm=algorithm, vocab_size=vocab_size, transition_size=350)
    return train_tokenizer(texts, config).model.to_json()


def digests() -> list[str]:
    return [
        f"{algorithm} {seed} "
        + hashlib.sha256(trained(algorithm, corpus(seed, texts)).encode()).hexdigest()
        for algorithm in ALGORITHMS
        for seed, texts in ((0, 300), (1, 3))
    ]


SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {here!r}]
from test_tokenizer_training import digests
print("\\n".join(digests()))
"""


def test_every_process_trains_the_same_tokenizer():
    script = SCRIPT.format(root=str(REPOSITORY), here=str(Path(__file__).parent))
    environment = {**os.environ, "NUMBA_NUM_THREADS": "1", "PYTHONHASHSEED": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == digests()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_order_of_the_texts_must_not_change_the_tokenizer(algorithm):
    texts = corpus()
    assert trained(algorithm, texts) == trained(algorithm, texts[::-1])
