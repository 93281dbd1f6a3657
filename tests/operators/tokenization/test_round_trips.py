"""Every algorithm with every encoder that suits it must give texts back, in sixty languages, too."""

import os
from pathlib import Path

import numpy as np
import pytest
from fuzz_texts import FUZZ

from operators.tokenization.config import ALGORITHMS, ENCODERS, MERGING_ENCODERS, TokenizerConfig
from operators.tokenization.laboratory import count_for, train_models
from operators.tokenization.tokenizer import Tokenizer

SIZE = 1500


def config(algorithm, encoder=None):
    transition = 1100 if algorithm == "superbpe" else None
    return TokenizerConfig(
        algorithm=algorithm,
        vocab_size=SIZE,
        encoder=encoder,
        transition_size=transition,
        picky_threshold=0.6,
        power=0.3,
    )


def suits(algorithm, encoder):
    try:
        config(algorithm, encoder)
    except ValueError:
        return False
    return True


ALL = [(algorithm, name) for algorithm in ALGORITHMS for name in ENCODERS if suits(algorithm, name)]
# Of many encoders each sees every so manieth sentence.
SPARSE = 25


def test_every_algorithm_and_encoder_is_among_them():
    assert {algorithm for algorithm, _ in ALL} == set(ALGORITHMS)
    assert {encoder for _, encoder in ALL} == set(ENCODERS)
    assert len(ALL) == 5 * len(ALGORITHMS) + 7


@pytest.fixture(scope="module")
def sentences():
    """997 sentences in each of 60 languages, by the name of the language."""
    if "TOKENMILL_DATA" not in os.environ:
        pytest.skip("TOKENMILL_DATA is unset: it names the folder with FLORES sentences")
    import pyarrow.parquet as pq

    path = Path(os.environ["TOKENMILL_DATA"], "flores_dev", "flores200_dev_60.parquet")
    table = pq.read_table(path)
    assert table.num_columns == 60
    return {name: table.column(name).to_pylist() for name in table.column_names}


@pytest.fixture(scope="module")
def models(sentences):
    texts = [text for language in sentences.values() for text in language[::40]]
    configs = [config(algorithm) for algorithm in ALGORITHMS]
    return dict(zip(ALGORITHMS, train_models(count_for(texts, configs), configs), strict=True))


def comes_back(tokenizer, texts):
    encoded = tokenizer.encode_arrays(texts)
    assert 0 not in encoded.ids
    for number, text in enumerate(texts):
        assert tokenizer.decode(encoded[number]) == text
    return encoded


@pytest.mark.parametrize(("algorithm", "encoder"), ALL)
def test_fuzz_and_sixty_languages_come_back(models, sentences, algorithm, encoder):
    tokenizer = Tokenizer(models[algorithm], encoder=encoder)
    comes_back(tokenizer, [*FUZZ.values(), *FUZZ])
    comes_back(tokenizer, ["\n".join(texts[::SPARSE]) for texts in sentences.values()])


@pytest.mark.parametrize("encoder", MERGING_ENCODERS)
@pytest.mark.parametrize("dropout", [0.1, 1.0])
def test_what_is_drawn_by_dropout_comes_back(models, sentences, encoder, dropout):
    tokenizer = Tokenizer(models["bpe"], encoder=encoder, dropout=dropout)
    comes_back(tokenizer, [*FUZZ.values()])
    comes_back(tokenizer, ["\n".join(texts[::SPARSE]) for texts in sentences.values()])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_more_sentences_of_sixty_languages_come_back(models, sentences, algorithm):
    texts = ["\n".join(texts[::8]) for texts in sentences.values()]
    comes_back(Tokenizer(models[algorithm]), texts)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_encoder_uses_fewer_tokens_than_pathpiece(models, sentences, algorithm):
    texts = ["\n".join(language[::SPARSE]) for language in sentences.values()]
    fewest = Tokenizer(models[algorithm], encoder="pathpiece").encode_arrays(texts).lengths
    for encoder in ENCODERS:
        if suits(algorithm, encoder):
            others = Tokenizer(models[algorithm], encoder=encoder).encode_arrays(texts).lengths
            assert np.all(fewest <= others), encoder
    drawn = Tokenizer(models[algorithm], encoder="pathpiece_random").encode_arrays(texts).lengths
    assert np.array_equal(fewest, drawn)
