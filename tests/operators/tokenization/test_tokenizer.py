"""Whatever spells a text, it must come back, and be spelled alike wherever and whenever it is."""

import os
import pickle
import random
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from byte_models import END, hub_bpe, model_from_hub, model_of
from fuzz_texts import FUZZ
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.tokenization import scanning_program
from operators.tokenization.bpe_family import train_bpe_family
from operators.tokenization.config import TokenizerConfig
from operators.tokenization.hub_tokenizer import to_hub
from operators.tokenization.laboratory import train_tokenizer
from operators.tokenization.pathpiece_vocabulary import pathpiece_vocabulary
from operators.tokenization.picky_encoding import picky_encoder
from operators.tokenization.pretokenization import PRETOKENIZERS, count_pretokens
from operators.tokenization.symbols import symbols_of
from operators.tokenization.tokenizer import EncodedTexts, Tokenizer, load_tokenizer

TEXT = st.text(
    st.one_of(st.sampled_from("abcé שd1 \n"), st.characters(exclude_categories=["Cs"])),
    max_size=40,
)


def corpus(seed=0, texts=200):
    generator = random.Random(seed)
    words = ["".join(generator.choices("abcdé😀ש1", k=generator.randint(1, 6))) for _ in range(200)]
    return [" ".join(generator.choices(words, k=12)) for _ in range(texts)]


TEXTS = [*corpus(1, 40), *FUZZ.values()]


def trained(algorithm, pretokenizer="gpt2", vocab_size=420, **settings_):
    config = TokenizerConfig(
        algorithm=algorithm, vocab_size=vocab_size, pretokenizer=pretokenizer, **settings_
    )
    return train_bpe_family(config, *(count_pretokens(corpus(), name) for name in config.counted))


def unigram_of(bpe):
    generator = random.Random(3)
    scores = np.round([-generator.uniform(2, 12) for _ in bpe.tokens], 4)
    config = TokenizerConfig(
        algorithm="unigram", vocab_size=bpe.vocab_size, pretokenizer=bpe.config.pretokenizer
    )
    return type(bpe)(config=config, tokens=bpe.tokens, scores=scores)


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    """Texts are cut by compiled programs, though they are few."""
    monkeypatch.setattr(scanning_program, "_WORTH_A_PROGRAM", 0)


@pytest.fixture(scope="module")
def bpe():
    return trained("bpe")


@pytest.fixture(scope="module")
def tokenizers_(bpe):
    own = (
        "merges",
        "longest_first",
        "longest_merge",
        "pathpiece",
        "pathpiece_random",
        "greedy",
        "greedy_suffix",
    )
    unigram = unigram_of(bpe)
    whole = trained("bpe", "none", 600)
    return {
        **{name: Tokenizer(bpe, encoder=name) for name in own},
        **{f"{name}_across_words": Tokenizer(whole, encoder=name) for name in own},
        "dropout": Tokenizer(bpe, dropout=0.3),
        "dropout_1": Tokenizer(bpe, dropout=1.0),
        "unigram": Tokenizer(unigram),
        "unigram_sampled": Tokenizer(unigram, encoder="unigram_sampled", power=0.3),
        "picky": Tokenizer(trained("picky_bpe", picky_threshold=0.5)),
        "superbpe": Tokenizer(trained("superbpe", "superbpe-stage1", transition_size=350)),
        "pathpiece_vocabulary": Tokenizer(
            pathpiece_vocabulary(count_pretokens(corpus(), "gpt2"), bpe, 330)
        ),
        "regex_that_only_regex_splits": Tokenizer(trained("bpe", r"\w+?\b|\s+$")),
    }  # fmt: skip


NAMES = [
    "merges", "longest_first", "longest_merge", "pathpiece", "pathpiece_random", "greedy", "greedy_suffix",
    "merges_across_words", "longest_first_across_words", "longest_merge_across_words", "pathpiece_across_words",
    "pathpiece_random_across_words", "greedy_across_words", "greedy_suffix_across_words", "dropout", "dropout_1",
    "unigram", "unigram_sampled", "picky", "superbpe", "pathpiece_vocabulary", "regex_that_only_regex_splits",
]  # fmt: skip


def test_every_tokenizer_is_tested(tokenizers_):
    assert sorted(tokenizers_) == sorted(NAMES)


# --- round trips -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_text_comes_back(tokenizers_, name):
    tokenizer = tokenizers_[name]
    for text in TEXTS:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert tokenizer.decode_bytes(ids) == text.encode()
        assert 0 not in ids
        assert all(0 < number < tokenizer.vocab_size for number in ids)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(texts=st.lists(TEXT, max_size=4))
def test_any_text_comes_back(tokenizers_, name, texts):
    tokenizer = tokenizers_[name]
    assert [tokenizer.decode(ids) for ids in tokenizer.encode_batch(texts)] == texts


def test_ids_that_end_inside_a_character_decode_to_a_mark(bpe):
    tokenizer = Tokenizer(model_of(["ab"], encoder="greedy"))
    ids = tokenizer.encode("aé")
    assert tokenizer.decode(ids[:-1]) == "a\ufffd"
    assert tokenizer.decode_bytes(ids[:-1]) == b"a\xc3"


@pytest.mark.parametrize("wrong", [-1, 420])
def test_an_id_outside_the_vocabulary_is_named(bpe, wrong):
    with pytest.raises(ValueError, match=f"id {wrong} "):
        Tokenizer(bpe).decode([5, wrong])


# --- the same as the library -------------------------------------------------------------------


@pytest.fixture(scope="module")
def hub():
    return hub_bpe(corpus(), 420)


def test_merges_equal_the_library_s_own_ids(hub):
    tokenizer = Tokenizer(model_from_hub(hub))
    hub.encode_special_tokens = True
    expected = [encoding.ids for encoding in hub.encode_batch(TEXTS, add_special_tokens=False)]
    assert tokenizer.encode_batch(TEXTS) == expected


def test_merges_equal_the_library_s_on_real_books_and_sixty_languages():
    if not os.environ.get("TOKENMILL_DATA"):
        pytest.skip("TOKENMILL_DATA is not set: no books")
    import pyarrow.parquet as pq

    data = Path(os.environ["TOKENMILL_DATA"])
    book = (data / "books" / "tinyshakespeare.txt").read_text()
    table = pq.read_table(data / "flores_dev" / "flores200_dev_60.parquet")
    texts = [book[at : at + 5000] for at in range(0, len(book), 5000)]
    texts += [
        "\n".join(map(str, table.column(name).to_pylist()[:60])) for name in table.column_names
    ]
    hub = hub_bpe(texts, 3000)
    tokenizer = Tokenizer(model_from_hub(hub))
    expected = [encoding.ids for encoding in hub.encode_batch(texts, add_special_tokens=False)]
    assert tokenizer.encode_batch(texts) == expected


@pytest.mark.parametrize("pretokenizer", PRETOKENIZERS)
@pytest.mark.parametrize("encoder", ["merges", "longest_merge", "greedy", "unigram"])
def test_the_library_gives_the_same_ids_and_text(pretokenizer, encoder):
    model = trained("bpe", pretokenizer)
    if encoder == "unigram":
        model = unigram_of(model)
    tokenizer = Tokenizer(model, encoder=encoder)
    theirs = tokenizer.to_hf()
    theirs.encode_special_tokens = True
    # A WordPiece finds the special token in text all the same.
    texts = [text for text in TEXTS if encoder != "greedy" or END not in text]
    encodings = theirs.encode_batch(texts, add_special_tokens=False)
    assert [encoding.ids for encoding in encodings] == tokenizer.encode_batch(texts)
    decoded = theirs.decode_batch(
        [encoding.ids for encoding in encodings], skip_special_tokens=False
    )
    assert decoded == texts


def test_the_library_s_special_token_is_that_of_allow_special(bpe):
    tokenizer = Tokenizer(bpe)
    text = FUZZ["special_token_in_text"]
    theirs = tokenizer.to_hf()
    assert theirs.token_to_id(END) == 0
    assert theirs.encode(text).ids == tokenizer.encode(text, allow_special=True)


@pytest.mark.parametrize(
    "name", ["longest_first", "pathpiece", "pathpiece_random", "dropout", "picky", "greedy_suffix"]
)
def test_what_the_library_cannot_express_is_said(tokenizers_, name):
    with pytest.raises(ValueError, match="`tokenizers`"):
        tokenizers_[name].to_hf()


def test_removed_tokens_cannot_be_told_to_the_library(tokenizers_):
    with pytest.raises(ValueError, match="cannot remove"):
        to_hub(tokenizers_["picky"].model, "merges")


# --- special tokens, surrogates ----------------------------------------------------------------


def test_end_of_text_is_ordinary_text_unless_it_is_allowed(bpe):
    tokenizer = Tokenizer(bpe)
    text = f"{END}a{END}{END} b"
    assert 0 not in tokenizer.encode(text)
    a, b = tokenizer.encode("a"), tokenizer.encode(" b")
    assert tokenizer.encode(text, allow_special=True) == [0, *a, 0, 0, *b]
    assert tokenizer.decode(tokenizer.encode(text, allow_special=True)) == text
    batch = ["x", text, "", END]
    assert tokenizer.encode_batch(batch, allow_special=True) == [
        tokenizer.encode(each, allow_special=True) for each in batch
    ]


def test_many_special_tokens_cost_no_quadratic_time(bpe):
    text = END.join(["a b"] * 100_000)
    begin = time.process_time()
    ids = Tokenizer(bpe).encode(text, allow_special=True)
    assert time.process_time() - begin < 5.0
    assert ids.count(0) == 99_999


def test_special_tokens_do_not_stop_draws_from_being_repeated(bpe):
    tokenizer = Tokenizer(bpe, dropout=0.5)
    text = END.join(corpus(7, 6))
    first = tokenizer.encode(text, allow_special=True, name="a", epoch=2)
    assert first == tokenizer.encode(text, allow_special=True, name="a", epoch=2)
    assert tokenizer.decode(first) == text


def test_a_lone_surrogate_is_named_with_its_text_and_place(bpe):
    texts = ["a" * 100_000] * 5 + ["ab\ud800c"]
    for threads in (1, 2):
        with pytest.raises(ValueError, match=r"text 5 .*U\+D800 at position 2"):
            Tokenizer(bpe).encode_batch(texts, threads=threads)


# --- chance, threads, copies -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dropout", "pathpiece_random", "unigram_sampled"])
def test_draws_depend_on_text_name_epoch_and_seed_only(tokenizers_, bpe, name):
    tokenizer = tokenizers_[name]
    assert tokenizer.draws
    texts = corpus(2, 30)
    first = tokenizer.encode_batch(texts)
    assert first == tokenizer.encode_batch(texts[::-1])[::-1]
    assert first == [tokenizer.encode(text) for text in texts]
    assert first == pickle.loads(pickle.dumps(tokenizer)).encode_batch(texts)
    assert first != tokenizer.encode_batch(texts, epoch=1)
    names = [f"document {number}" for number in range(len(texts))]
    named = tokenizer.encode_batch(texts, names=names)
    assert named != first
    assert named[3:5] == tokenizer.encode_batch(texts[3:5], names=names[3:5])
    same_text = tokenizer.encode_batch([texts[0]] * 20, names=names[:20])
    assert len(set(map(tuple, same_text))) > 1


def test_another_seed_draws_otherwise():
    texts = corpus(2, 30)
    one, other = (Tokenizer(trained("bpe", dropout=0.2, seed=seed)) for seed in (1, 2))
    assert one.encode_batch(texts) != other.encode_batch(texts)


def test_dropout_0_is_bpe_and_1_is_bytes(tokenizers_, bpe):
    for text in TEXTS:
        assert Tokenizer(bpe, dropout=0.0).encode(text) == tokenizers_["merges"].encode(text)
        single = tokenizers_["dropout_1"].encode(text)
        assert [bpe.tokens[number] for number in single] == [
            bytes([byte]) for byte in text.encode()
        ]


@pytest.mark.parametrize("name", NAMES)
def test_threads_change_nothing(tokenizers_, name):
    tokenizer = tokenizers_[name]
    texts = [*corpus(5, 3000), "", "x" * 50_000, *TEXTS]
    one = tokenizer.encode_batch(texts, threads=1)
    assert tokenizer.encode_batch(texts, threads=3) == one
    arrays = tokenizer.encode_arrays(texts, threads=2)
    assert arrays.tolist() == one
    assert arrays.ids.dtype == np.int32


@pytest.mark.parametrize("name", NAMES)
def test_few_texts_are_cut_as_many_are(tokenizers_, name, monkeypatch):
    compiled = tokenizers_[name].encode_batch(TEXTS)
    monkeypatch.setattr(scanning_program, "_WORTH_A_PROGRAM", 10**12)
    assert tokenizers_[name].encode_batch(TEXTS) == compiled


def test_arrays_are_read_by_text():
    encoded = EncodedTexts(np.arange(5, dtype=np.int32), np.array([2, 2, 5]))
    assert [each.tolist() for each in encoded] == [[0, 1], [], [2, 3, 4]]
    assert encoded[-1].tolist() == [2, 3, 4]
    assert encoded.lengths.tolist() == [2, 0, 3]


def test_nothing_is_encoded_to_nothing(bpe):
    tokenizer = Tokenizer(bpe)
    assert tokenizer.encode_batch([]) == []
    assert len(tokenizer.encode_arrays([])) == 0
    assert tokenizer.encode_batch(["", ""]) == [[], []]
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize("name", ["merges", "picky", "superbpe", "unigram", "pathpiece_vocabulary"])
def test_a_saved_tokenizer_is_the_same(tokenizers_, name, tmp_path):
    tokenizer = tokenizers_[name]
    tokenizer.save(tmp_path / "tokenizer.json")
    again = load_tokenizer(tmp_path / "tokenizer.json")
    assert again.model == tokenizer.model
    assert again.encode_batch(TEXTS) == tokenizer.encode_batch(TEXTS)


def test_a_pickled_tokenizer_keeps_its_encoder(tokenizers_):
    again = pickle.loads(pickle.dumps(tokenizers_["longest_first"]))
    assert again.encode_batch(TEXTS) == tokenizers_["longest_first"].encode_batch(TEXTS)


def test_wrong_calls_are_named(bpe):
    tokenizer = Tokenizer(bpe, dropout=0.1)
    with pytest.raises(ValueError, match="2 texts have 1 names"):
        tokenizer.encode_batch(["a", "b"], names=["a"])
    with pytest.raises(ValueError, match="epoch"):
        tokenizer.encode("a", epoch=-1)
    with pytest.raises(ValueError, match="threads"):
        tokenizer.encode_batch(["a"], threads=0)


@pytest.mark.parametrize(
    ("algorithm", "conventions", "cure"),
    [
        ("bpe", "subword-nmt", r"use subword_nmt\.Segmenter\(model\), or .*conventions='bytes'"),
        ("picky_bpe", "picky", r"use picky_encoding\.picky_encoder\(model\) .*conventions='bytes'"),
    ],
)
def test_other_conventions_are_refused_with_what_encodes_by_them(
    algorithm, conventions, cure, tmp_path
):
    config = TokenizerConfig(algorithm=algorithm, vocab_size=50, conventions=conventions)
    model = train_bpe_family(config, count_pretokens(["ab ab"], conventions))
    with pytest.raises(ValueError, match=f"'{conventions}' conventions: {cure}"):
        Tokenizer(model)
    model.save(tmp_path / "tokenizer.json")
    with pytest.raises(ValueError, match=cure):
        load_tokenizer(tmp_path / "tokenizer.json")


def test_other_conventions_are_refused_before_a_text_is_read():
    config = TokenizerConfig(algorithm="bpe", vocab_size=50, conventions="subword-nmt")
    texts = iter(["ab ab"])
    with pytest.raises(ValueError, match="Segmenter"):
        train_tokenizer(texts, config)
    assert next(texts) == "ab ab"


def test_picky_bpe_on_bytes_works_wholly(tmp_path):
    tokenizer = Tokenizer(trained("picky_bpe", vocab_size=380, picky_threshold=0.3))
    removed = tokenizer.model.removed
    assert removed
    assert tokenizer.vocab_size == len(tokenizer.tokens) == 380
    # A removed token is spelled by others, alone and inside of text.
    texts = [*(token.decode(errors="ignore") for token in removed), *TEXTS]
    encoded = tokenizer.encode_batch(texts)
    assert [tokenizer.decode(ids) for ids in encoded] == texts
    assert max(map(max, filter(None, encoded))) < tokenizer.vocab_size
    tokenizer.save(tmp_path / "tokenizer.json")
    again = load_tokenizer(tmp_path / "tokenizer.json")
    assert again.model == tokenizer.model
    assert again.encode_batch(texts, threads=2) == encoded
    # The ids of the corpus are those that its training ended with.
    counts = count_pretokens(corpus(), "gpt2")
    own = picky_encoder(tokenizer.model, whole_words=True)
    _, ends = own.encode(*symbols_of(tokenizer.model)(counts.pretokens))
    assert tokenizer.encode_arrays(corpus()).lengths.sum() == np.diff(ends) @ counts.counts
    for encoder in ("longest_first", "pathpiece", "greedy"):
        other = Tokenizer(tokenizer.model, encoder=encoder)
        assert [other.decode(ids) for ids in other.encode_batch(texts)] == texts


def test_the_configuration_s_switches_are_used_and_kept(tmp_path):
    scored = unigram_of(trained("bpe"))
    drawing = replace(scored.config, encoder="unigram_sampled", power=0.2)
    tokenizer = Tokenizer(replace(scored, config=drawing))
    ids = tokenizer.encode_batch(TEXTS)
    assert ids == Tokenizer(scored, encoder="unigram_sampled", power=0.2).encode_batch(TEXTS)
    assert ids != Tokenizer(scored, encoder="unigram_sampled").encode_batch(TEXTS)
    tokenizer.save(tmp_path / "tokenizer.json")
    assert load_tokenizer(tmp_path / "tokenizer.json").encode_batch(TEXTS) == ids
