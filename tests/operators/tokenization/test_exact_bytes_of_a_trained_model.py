"""The same on a small model that has learned a language of a few sentences."""

import numpy as np
import pytest
from byte_oracles import END_OF_TEXT, BruteForce, hub_bpe

from operators.evaluation.exact_bytes_nll import exact_bytes_nll
from operators.tokenization.byte_ensembles import ByteEnsemble, generate_bytes
from operators.tokenization.cover_tokenizer import cover_tokenizer
from operators.tokenization.exact_bytes import ByteStream, next_byte_distribution
from operators.tokenization.live_tokens import LiveTokens
from operators.tokenization.next_token_models import CausalLanguageModel

NAMES = ["Ann", "Bob", "Zoë", "Li"]
THINGS = ["apples", "pears", "12 figs", "1234 nuts", "tea"]


def sentences(count, seed=0):
    generator = np.random.default_rng(seed)
    texts = []
    for number in range(1, count + 1):
        name, thing = generator.choice(NAMES), generator.choice(THINGS)
        greeting = generator.choice(["Hello world", "Hello there"], p=[0.7, 0.3])
        # Now and then there are lines at the end, too: those are one token.
        lines = "" if number % 30 else "\n\n"
        texts.append(f"{greeting}, {name} doesn't like {thing}.\n\n{name} works.{lines}")
    return texts


def trained(vocab_size, width, seed, steps=160):
    """(tokenizer, model in 64 bits) that has read the sentences."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    texts = sentences(300)
    tokenizer = hub_bpe(texts, vocab_size)
    end = tokenizer.token_to_id(END_OF_TEXT)
    rows = [[end, *tokenizer.encode(text).ids, end] for text in texts]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [end] * (longest - len(row)) for row in rows])
    labels = torch.tensor([row + [-100] * (longest - len(row)) for row in rows])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=tokenizer.get_vocab_size(), n_positions=96, n_embd=width, n_layer=2, n_head=2,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=end, eos_token_id=end,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    generator = np.random.default_rng(seed)
    for _ in range(steps):
        chosen = torch.from_numpy(generator.choice(len(rows), 24, replace=False))
        loss = model(input_ids=ids[chosen], labels=labels[chosen]).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.set_num_threads(threads)
    return tokenizer, model.double()


@pytest.fixture(scope="module")
def words():
    return trained(330, 48, seed=1)


@pytest.fixture(scope="module")
def letters():
    return trained(262, 32, seed=2, steps=80)


@pytest.fixture(scope="module")
def live(words):
    return LiveTokens(cover_tokenizer(words[0]))


def reader(pair, **settings):
    tokenizer, model = pair
    return CausalLanguageModel(model, begin=[tokenizer.token_to_id(END_OF_TEXT)], **settings)


def naive_next_byte(pair, prefix):
    """[256] from the next token after the encoded prompt."""
    tokenizer, _ = pair
    row = np.exp(reader(pair).log_probabilities([tokenizer.encode(prefix).ids])[0])
    own = cover_tokenizer(tokenizer)
    sums = np.zeros(256)
    for token, probability in zip(own.tokens, row, strict=True):
        sums[token[0]] += probability
    return sums


def test_a_prompt_cut_inside_of_a_word_goes_on_with_it(words, live):
    exact = next_byte_distribution(reader(words), live.tokenizer, b"Hello wor")
    assert exact[ord("l")] > 0.95
    assert exact.sum() == pytest.approx(1, abs=1e-6)
    # The words are single tokens, so tokens of the cut prompt were never seen together.
    assert words[0].encode(" world").tokens == ["Ġworld"]
    assert naive_next_byte(words, "Hello wor")[ord("l")] < 0.5


def test_a_prompt_that_ends_in_a_space_goes_on_with_a_word(words, live):
    exact = next_byte_distribution(reader(words), live.tokenizer, b"Hello ")
    assert exact[ord("w")] == pytest.approx(0.7, abs=0.12)
    assert exact[ord("t")] == pytest.approx(0.3, abs=0.12)
    assert exact[ord("w")] + exact[ord("t")] > 0.95
    naive = naive_next_byte(words, "Hello ")
    assert naive[ord("w")] + naive[ord("t")] < 0.5


def test_lines_that_a_look_ahead_cuts_apart_go_on_with_a_name(words, live):
    # "\n\n" before a letter is two tokens, and where a text ends it is one.
    prefix = "Hello world, Bob doesn't like tea.\n\n"
    assert words[0].encode(prefix).tokens[-1] == "ĊĊ"
    exact = next_byte_distribution(reader(words), live.tokenizer, prefix.encode())
    names = {name.encode()[0] for name in NAMES}
    assert sum(exact[byte] for byte in names) > 0.95
    naive = naive_next_byte(words, prefix)
    assert sum(naive[byte] for byte in names) < 0.5


def test_a_prompt_cut_inside_of_a_character_goes_on_with_it(words, live):
    exact = next_byte_distribution(reader(words), live.tokenizer, b"Hello world, Zo" + b"\xc3")
    assert exact[0xAB] > 0.95  # the second byte of "ë"
    assert exact[:0x80].sum() == exact[0xC0:].sum() == 0


def test_distributions_sum_to_1_all_along_a_text(words, live):
    stream = ByteStream(reader(words), live.tokenizer, live=live)
    for byte in sentences(1, seed=9)[0].encode():
        assert stream.outcomes().sum() == pytest.approx(1, abs=1e-6)
        stream.advance(byte)
    assert stream.end_probability() > 0.9


def test_the_chain_rule_agrees_with_brute_force_over_all_covers(words, live):
    model = reader(words)
    brute = BruteForce(model, live.tokenizer, " a\n", reach=1)
    stream = ByteStream(model, live.tokenizer, live=live)
    total = 0.0
    for byte in b"Hello wo":
        total += stream.advance(byte)
        assert total == pytest.approx(np.log(brute.begins_with(stream.prefix)), abs=1e-9)


def test_the_chain_rule_gives_what_one_reading_of_the_text_gives(words, live):
    model = reader(words)
    for text in [*sentences(2, seed=5), "Hello Ann  12", "xyz\n \n'r", ""]:
        once = exact_bytes_nll(model, live.tokenizer, text, live=live)
        stream = ByteStream(model, live.tokenizer, live=live)
        chained = -stream.log_probability(text.encode(), ends=True)
        assert chained == pytest.approx(once.exact_nats, abs=1e-8)
        assert once.token_nats >= once.exact_nats
        open_ended = exact_bytes_nll(model, live.tokenizer, text, ends=False, live=live)
        chained = -stream.log_probability(text.encode())
        assert chained == pytest.approx(open_ended.exact_nats, abs=1e-8)
        assert open_ended.token_nats >= open_ended.exact_nats


def test_reading_costs_about_one_forward_pass_a_byte(words, live):
    model = reader(words)
    text = sentences(1, seed=3)[0].encode()
    stream = ByteStream(model, live.tokenizer, live=live)
    for byte in text:
        stream.advance(byte)
    assert stream.forward_passes <= 1.1 * len(text)
    assert model.tokens_read <= 3 * len(text)  # what is new, thanks to the cache
    model.forward_passes = 0
    ByteStream(model, live.tokenizer, text, live=live).outcomes()
    assert model.forward_passes <= 8  # only the last word is read byte by byte


def test_keys_and_values_kept_change_nothing(words):
    ids = words[0].encode(sentences(1)[0]).ids
    kept, anew = reader(words), reader(words, cache=False)
    generator = np.random.default_rng(0)
    for _ in range(12):
        some = [*ids[: generator.integers(len(ids))], *generator.integers(1, 300, 2).tolist()]
        assert np.allclose(
            kept.log_probabilities([some]), anew.log_probabilities([some]), atol=1e-9
        )
    assert kept.tokens_read < anew.tokens_read


@pytest.mark.parametrize("context_length", [96, 16, 7])
def test_a_text_read_at_once_is_read_as_token_by_token(words, context_length):
    ids = words[0].encode(sentences(1)[0]).ids
    model = reader(words, context_length=context_length)
    at_once = list(model.running_log_probabilities(ids))
    assert len(at_once) == len(ids) + 1
    for number, row in enumerate(at_once):
        single = reader(words, context_length=context_length).log_probabilities([ids[:number]])[0]
        assert np.allclose(row, single, atol=1e-9), number


def test_models_without_a_beginning_or_a_context_are_refused(words):
    with pytest.raises(ValueError, match="begin is empty"):
        CausalLanguageModel(words[1], begin=[])
    with pytest.raises(ValueError, match="context_length is 1"):
        reader(words, context_length=1)


def test_an_ensemble_of_two_vocabularies_averages_their_bytes(words, letters, live):
    prefix = "Hello world, Zoë do".encode()
    streams = [
        ByteStream(reader(words), live.tokenizer, prefix, live=live),
        ByteStream(reader(letters), letters[0], prefix),
    ]
    assert words[0].encode(prefix.decode()).ids != letters[0].encode(prefix.decode()).ids
    expected = 0.25 * streams[0].outcomes() + 0.75 * streams[1].outcomes()
    ensemble = ByteEnsemble(streams, [1, 3])
    assert np.allclose(ensemble.outcomes(), expected, atol=1e-12)
    text = generate_bytes(ensemble, 80, temperature=0)
    assert text.decode().startswith("esn't like ")
    assert ensemble.prefix == prefix + text


def test_greedy_bytes_of_a_trained_model_are_its_language(words, live):
    stream = ByteStream(reader(words), live.tokenizer, b"Hello worl", live=live)
    text = (b"Hello worl" + generate_bytes(stream, 120, temperature=0)).decode()
    assert text.startswith("Hello world, ")
    assert text.endswith(" works.")
    assert stream.end_probability() > 0.5
