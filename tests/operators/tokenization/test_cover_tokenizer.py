"""Tokenizers of all kinds must be seen as what they are, or refused."""

import pytest
from byte_oracles import END_OF_TEXT, hub_bpe, our_tokenizer

from operators.tokenization.byte_tokenizer import HubByteTokenizer
from operators.tokenization.cover_tokenizer import CoverTokenizer, cover_tokenizer
from operators.tokenization.pretokenization import PRETOKENIZERS

TEXTS = ["the cat they're é 😀\n\n  the end", "a<|endoftext|>b", "", " \r\n\t\0"]


@pytest.mark.parametrize("make", [our_tokenizer, hub_bpe])
def test_tokens_are_bytes_and_specials_stand_apart(make):
    own = cover_tokenizer(make(TEXTS * 3, 300))
    assert own.special_ids == {0}
    assert own.end_id == 0
    for text in TEXTS:
        ids = own.encode(text)
        assert b"".join(own.tokens[one] for one in ids) == text.encode()
        assert 0 not in ids
    assert len(own.tokens) > 270
    assert own.prefix_closed


def test_the_hubs_tokenizer_itself_is_not_changed():
    tokenizer = hub_bpe(TEXTS, 280)
    tokenizer.enable_truncation(2)
    before = tokenizer.to_str()
    assert len(cover_tokenizer(tokenizer).encode("the cat end")) > 2
    assert tokenizer.to_str() == before
    assert tokenizer.encode("a<|endoftext|>").ids[-1] == 0


def test_ours_and_the_hubs_are_known_by_their_regex():
    ours = cover_tokenizer(our_tokenizer(TEXTS, 280, pretokenizer="gpt4"))
    assert ours.pattern == PRETOKENIZERS["gpt4"]
    hub = cover_tokenizer(hub_bpe(TEXTS, 280, PRETOKENIZERS["gpt4"]))
    assert hub.pattern == PRETOKENIZERS["gpt4"]


def test_transformers_tokenizers_are_taken_too():
    from operators.tokenization.hub_format import to_transformers

    wrapped = to_transformers(hub_bpe(TEXTS, 280), END_OF_TEXT)
    assert cover_tokenizer(wrapped).encode("the") == hub_bpe(TEXTS, 280).encode("the").ids


def test_an_adapted_tokenizer_of_the_hub_keeps_its_regex():
    assert cover_tokenizer(HubByteTokenizer(hub_bpe(TEXTS, 280))).pattern is not None


def test_a_cover_tokenizer_is_itself():
    own = CoverTokenizer((b"a",), frozenset(), None, lambda texts: [[0] for _ in texts])
    assert cover_tokenizer(own) is own


def test_any_byte_tokenizer_is_taken_without_knowing_its_regex():
    class Letters:
        tokens = (b"a", b"b", b"<end>")
        special_ids = (2,)
        unknown_id = None

        def encode(self, text):
            return [self.tokens.index(one.encode()) for one in text]

        def encode_batch(self, texts):
            return [self.encode(text) for text in texts]

        def decode(self, ids):
            return b"".join(self.tokens[one] for one in ids).decode()

    own = cover_tokenizer(Letters(), end_of_text="<end>")
    assert (own.end_id, own.pattern, own.prefix_closed) == (2, None, False)
    assert own.encode("ab") == [0, 1]


def test_added_words_make_the_regex_unknown():
    tokenizer = hub_bpe(TEXTS, 280)
    tokenizer.add_tokens(["cat they"])
    own = cover_tokenizer(tokenizer)
    assert own.pattern is None
    assert b"cat they" in own.tokens


def test_merges_that_whole_words_come_before_are_not_prefix_closed():
    import json

    from tokenizers import Tokenizer

    settings = json.loads(hub_bpe(TEXTS, 280).to_str())
    settings["model"]["ignore_merges"] = True
    assert not cover_tokenizer(Tokenizer.from_str(json.dumps(settings))).prefix_closed
    assert not cover_tokenizer(our_tokenizer(TEXTS, 280, algorithm="picky_bpe")).prefix_closed


def normalised():
    from tokenizers import normalizers

    tokenizer = hub_bpe(TEXTS, 280)
    tokenizer.normalizer = normalizers.NFC()
    return tokenizer


def with_prefix_space():
    from tokenizers import pre_tokenizers

    tokenizer = hub_bpe(TEXTS, 280)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return tokenizer


def with_dropout():
    tokenizer = hub_bpe(TEXTS, 280)
    tokenizer.model.dropout = 0.1
    return tokenizer


def of_words():
    from tokenizers import Tokenizer, models

    return Tokenizer(models.WordLevel({"a": 0}, "a"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (normalised, "NFC changes texts"),
        (with_prefix_space, "adds a space"),
        (with_dropout, "dropout of 0.1"),
        (of_words, "not byte-level"),
        (lambda: our_tokenizer(TEXTS, 280, dropout=0.1), "draws"),
        (object, "a object has no exact bytes"),
    ],
)
def test_tokenizers_without_exact_bytes_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        cover_tokenizer(make())


@pytest.mark.parametrize("make", [our_tokenizer, hub_bpe])
def test_an_end_of_text_that_is_not_special_is_refused(make):
    with pytest.raises(ValueError, match="'the' is not among the special tokens"):
        cover_tokenizer(make(TEXTS, 280), end_of_text="the")


def test_an_end_that_texts_could_hold_is_refused():
    with pytest.raises(ValueError, match="end_id 0 is not among special_ids"):
        CoverTokenizer((b"a",), frozenset(), 0, lambda texts: [[0] for _ in texts])
