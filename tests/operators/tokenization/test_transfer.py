"""A model with a new tokenizer: nothing is lost that both vocabularies have, and it trains on."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hub_tokenizers import END_OF_TEXT, byte_bpe
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    PhiConfig,
    PhiForCausalLM,
)

from operators.modeling import (
    LlamaShape,
    TrainingRecipe,
    build_llama,
    load_model,
    save_model,
    train,
)
from operators.tokenization.auxiliary_vectors import cooccurrence_vectors
from operators.tokenization.byte_tokenizer import as_byte_tokenizer
from operators.tokenization.embedding_rows import token_script
from operators.tokenization.transfer import swap_tokenizer

METHODS = ["identity", "mean", "script", "focus"]
ANIMALS = ("cat", "dog", "otter", "badger", "weasel")
TEXTS = [
    f"The {one} that chased the {other} sat down on the mat and slept until the {one} woke.\n"
    for one in ANIMALS
    for other in ANIMALS
]
# Words that only the new tokenizer has seen.
OTHERS = [
    "Meanwhile somebody whistled quietly beneath mountains; hedgehogs, squirrels, pigeons and "
    "kingfishers gathered strawberries, blackberries, chestnuts, mushrooms, lavender before "
    "thunderstorms followed, although yesterday nobody noticed anything unusual.\n"
]
OLD = byte_bpe(TEXTS, 300)
NEW = byte_bpe([*TEXTS, *OTHERS * 20], 380)
GREEK = byte_bpe([*TEXTS, *["η γάτα κάθισε στο χαλί και κοιμήθηκε μέχρι το πρωί\n"] * 30], 420)
SHAPE = LlamaShape(
    hidden_size=32, layers=1, heads=2, kv_heads=2, intermediate_size=64, context_length=64
)


def llama(vocab_size=300, tied=True):
    shape = replace(SHAPE, tie_embeddings=tied)
    return build_llama(shape, vocab_size, bos_token_id=0, eos_token_id=0, seed=0).eval()


def phi(vocab_size=300):
    """Untied, with an output bias."""
    config = PhiConfig(
        vocab_size=vocab_size, hidden_size=32, intermediate_size=48, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=64, bos_token_id=0, eos_token_id=[0],
        pad_token_id=None,
    )  # fmt: skip
    torch.manual_seed(0)
    model = PhiForCausalLM(config).eval()
    with torch.no_grad():
        model.lm_head.bias.normal_()
    return model


def gpt2(vocab_size=300):
    config = GPT2Config(
        vocab_size=vocab_size, n_embd=32, n_layer=1, n_head=2, n_positions=64,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    torch.manual_seed(0)
    return GPT2LMHeadModel(config).eval()


MODELS = {
    "tied": llama,
    "untied": lambda vocab_size=300: llama(vocab_size, tied=False),
    "bias": phi,
    "gpt2": gpt2,
    "half": lambda vocab_size=300: llama(vocab_size, tied=False).to(torch.bfloat16),
}


@pytest.fixture(params=MODELS)
def model(request):
    return MODELS[request.param]()


def logits(model, tokenizer, text=TEXTS[0]):
    ids = torch.tensor([as_byte_tokenizer(tokenizer).encode(text)])
    with torch.no_grad():
        return model(input_ids=ids).logits


def loss(model, tokenizer, texts=TEXTS[:5]):
    """Mean negative log-probability of a token."""
    total, tokens = 0.0, 0
    for text in texts:
        ids = torch.tensor([[0, *as_byte_tokenizer(tokenizer).encode(text)]])
        with torch.no_grad():
            scores = torch.log_softmax(model(input_ids=ids).logits[0, :-1].double(), dim=-1)
        total -= float(scores.gather(1, ids[0, 1:, None]).sum())
        tokens += ids.shape[1] - 1
    return total / tokens


def sequences(tokenizer, length=32):
    stream = [number for text in TEXTS * 4 for number in as_byte_tokenizer(tokenizer).encode(text)]
    rows = len(stream) // length
    return np.array(stream[: rows * length], dtype=np.int32).reshape(rows, length)


def vectors_of(tokenizer):
    adapted = as_byte_tokenizer(tokenizer)
    encoded = adapted.encode_batch(TEXTS)
    return cooccurrence_vectors(encoded, len(adapted.tokens), dimensions=16, min_count=2)


@pytest.fixture(scope="module")
def trained():
    model = llama()
    recipe = TrainingRecipe(
        steps=60, batch_size=16, learning_rate=1e-2, warmup_steps=5, seed=0, device="cpu"
    )
    train(model, sequences(OLD), None, recipe)
    return model.eval()


# --- swapping to the same tokenizer ---------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_swapping_to_the_same_tokenizer_changes_no_logit(model, method):
    swapped = swap_tokenizer(model, OLD, OLD, method=method)
    assert torch.equal(logits(swapped.model, OLD), logits(model, OLD))
    assert swapped.counts == {"drawn": 0, "special": 1, "copied": 299, "mixed": 0, "script": 0}


def test_swapping_there_and_back_changes_no_logit_where_nothing_was_lost(model):
    larger = byte_bpe(TEXTS, 310)
    grown = set(as_byte_tokenizer(larger).tokens) > set(as_byte_tokenizer(OLD).tokens)
    assert grown, "the larger vocabulary must hold the smaller one for this test"
    there = swap_tokenizer(model, OLD, larger).model
    back = swap_tokenizer(there, larger, OLD).model
    assert torch.equal(logits(back, OLD), logits(model, OLD))


def test_swapping_to_the_same_tokenizer_keeps_padded_rows():
    model = llama(vocab_size=320)
    swapped = swap_tokenizer(model, OLD, OLD)
    assert torch.equal(logits(swapped.model, OLD), logits(model, OLD))
    assert swapped.padding_rows == 20


def test_the_model_given_is_not_changed(model):
    before = copy.deepcopy(model.state_dict())
    config = model.config.to_dict()
    state = torch.get_rng_state()
    swap_tokenizer(model, OLD, NEW, method="identity")
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert model.config.to_dict() == config
    assert torch.equal(torch.get_rng_state(), state)


# --- what rows are --------------------------------------------------------------------------------


def rows(model):
    """Input rows, output rows, and output bias or zeros."""
    inputs, outputs = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    bias = getattr(model.get_output_embeddings(), "bias", None)
    bias = torch.zeros(len(outputs)) if bias is None else bias
    return torch.cat([inputs, outputs, bias[:, None].to(outputs)], dim=1).detach()


@pytest.mark.parametrize("method", METHODS)
def test_equal_tokens_keep_their_rows_to_the_bit(model, method):
    vectors = vectors_of(NEW) if method == "focus" else None
    swapped = swap_tokenizer(model, OLD, NEW, method=method, vectors=vectors)
    before, after = rows(model), rows(swapped.model)
    old, new = as_byte_tokenizer(OLD).tokens, as_byte_tokenizer(NEW).tokens
    assert len(after) == swapped.model.config.vocab_size == len(new) == 380
    shared = [(new.index(token), old.index(token)) for token in new if token in old]
    assert 256 < len(shared) < 300
    for there, here in shared:
        assert torch.equal(after[there], before[here])
    assert torch.isfinite(after).all()


def test_a_new_token_is_the_mean_of_its_old_pieces(model):
    swapped = swap_tokenizer(model, OLD, NEW, method="mean")
    before, after = rows(model), rows(swapped.model)
    old, new = as_byte_tokenizer(OLD), as_byte_tokenizer(NEW)
    fresh = [number for number, token in enumerate(new.tokens) if token not in old.tokens]
    assert swapped.counts["mixed"] == len(fresh) > 20
    for number in fresh:
        pieces = old.encode(new.tokens[number].decode())
        mean = before[pieces].double().mean(dim=0)
        assert after[number].double() == pytest.approx(mean, rel=1e-2, abs=1e-2 if
            after.dtype == torch.bfloat16 else 1e-6)  # fmt: skip


def test_tied_embeddings_stay_one_and_untied_ones_two():
    for tied in (True, False):
        swapped = swap_tokenizer(llama(tied=tied), OLD, NEW).model
        inputs, outputs = swapped.get_input_embeddings(), swapped.get_output_embeddings()
        assert (inputs.weight is outputs.weight) == tied
        assert outputs.out_features == inputs.num_embeddings == 380


def test_the_weights_decide_what_is_tied_and_a_configuration_that_lies_is_refused():
    model = llama(tied=False)
    model.lm_head.weight = model.get_input_embeddings().weight
    swapped = swap_tokenizer(model, OLD, NEW).model
    assert swapped.lm_head.weight is swapped.get_input_embeddings().weight
    model = llama(tied=True)
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    with pytest.raises(ValueError, match="calls the embeddings tied"):
        swap_tokenizer(model, OLD, NEW)


def test_parts_of_characters_have_a_mean_too():
    emoji = byte_bpe(["😀😁😂🤣" * 20], 275)
    adapted = as_byte_tokenizer(emoji)
    partial = b"\xf0\x9f"
    assert partial in adapted.tokens
    model = llama()
    swapped = swap_tokenizer(model, OLD, emoji, method="mean").model
    old = as_byte_tokenizer(OLD).tokens
    pieces = [old.index(b"\xf0"), old.index(b"\x9f")]
    expected = model.get_input_embeddings().weight[pieces].mean(dim=0)
    row = swapped.get_input_embeddings().weight[adapted.tokens.index(partial)]
    assert torch.allclose(row, expected)


def test_focus_mixes_shared_tokens_only_and_draws_what_has_no_vector():
    model = llama()
    adapted = as_byte_tokenizer(NEW)
    old = as_byte_tokenizer(OLD).tokens
    vectors = np.zeros((380, 3), dtype=np.float32)
    fresh = [number for number, token in enumerate(adapted.tokens) if token not in old]
    shared = [adapted.tokens.index(b"a"), adapted.tokens.index(b"t")]
    vectors[shared[0]], vectors[shared[1]] = [1, 0, 0], [0, 1, 0]
    vectors[fresh[0]] = [1, 0.5, 0]  # cosines 0.894 and 0.447: weights 0.724 and 0.276
    swapped = swap_tokenizer(model, OLD, NEW, method="focus", vectors=vectors)
    assert swapped.counts["mixed"] == 1
    assert swapped.counts["drawn"] == len(fresh) - 1
    weight = model.get_input_embeddings().weight
    a, t = weight[old.index(b"a")], weight[old.index(b"t")]
    share = 0.5 + (1 - 0.5) / math.sqrt(1.25) / 2
    row = swapped.model.get_input_embeddings().weight[fresh[0]]
    assert torch.allclose(row, share * a + (1 - share) * t, atol=1e-6)


def test_draws_have_the_moments_of_the_old_rows_and_depend_on_seed_and_token_only():
    model = llama()
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(3).add_(torch.arange(32.0))
    first, again, other = (
        swap_tokenizer(model, OLD, GREEK, method="identity", seed=seed) for seed in (1, 1, 2)
    )
    drawn = first.origins == 0
    assert drawn.sum() == first.counts["drawn"] > 50
    rows_of = [one.model.get_input_embeddings().weight.detach() for one in (first, again, other)]
    assert torch.equal(rows_of[0], rows_of[1])
    assert not torch.equal(rows_of[0], rows_of[2])
    old = model.get_input_embeddings().weight[1:].detach()
    drawn_rows = rows_of[0][drawn]
    assert torch.allclose(drawn_rows.mean(dim=0), old.mean(dim=0), atol=5 * 0.06 / 9)
    assert torch.allclose(drawn_rows.std(dim=0), old.std(dim=0), rtol=0.5)
    # The same token under other ids and beside other tokens is drawn alike.
    half = byte_bpe(["η γάτα κάθισε στο χαλί\n"] * 30, 300)
    shared = sorted(
        set(as_byte_tokenizer(half).tokens[257:]) & set(as_byte_tokenizer(GREEK).tokens)
    )
    fewer = swap_tokenizer(model, OLD, half, method="identity", seed=1).model
    number, place = (as_byte_tokenizer(one).tokens.index(shared[0]) for one in (half, GREEK))
    assert torch.equal(fewer.get_input_embeddings().weight[number], rows_of[0][place])


def test_scripts_are_drawn_around_the_mean_of_their_own_tokens():
    model = llama(vocab_size=420)
    tokens = as_byte_tokenizer(GREEK).tokens
    scripts = [token_script(token) for token in tokens]
    with torch.no_grad():
        weight = model.get_input_embeddings().weight
        weight.zero_()
        for number, script in enumerate(scripts):
            weight[number] = {"Grek": 5.0, "Latn": -3.0}.get(script, 50.0)
            weight[number, 0] = 1.0 if tokens[number].startswith(b" ") else 0.0
    new = byte_bpe(["γάλα και μέλι στο σπίτι, and honey at home\n" * 30], 400)
    for word_position in (False, True):
        swapped = swap_tokenizer(model, GREEK, new, method="script", word_position=word_position)
        after = swapped.model.get_input_embeddings().weight.detach()
        scripted = [number for number, origin in enumerate(swapped.origins) if origin == 4]
        assert len(scripted) == swapped.counts["script"] > 10
        for number in scripted:
            token = as_byte_tokenizer(new).tokens[number]
            expected = {"Grek": 5.0, "Latn": -3.0}.get(token_script(token), 50.0)
            assert after[number, 1:] == pytest.approx(np.full(31, expected))
            if word_position:
                assert float(after[number, 0]) == float(token.startswith(b" "))


def test_script_without_identity_copies_special_tokens_only():
    swapped = swap_tokenizer(llama(), OLD, NEW, method="script", copy_equal=False)
    assert swapped.counts["copied"] == 0
    assert swapped.counts["special"] == 1
    assert swapped.counts["script"] > 200


def test_a_script_that_the_old_vocabulary_lacks_is_drawn_from_all():
    swapped = swap_tokenizer(llama(), OLD, GREEK, method="script")
    tokens = as_byte_tokenizer(GREEK).tokens
    greek = [number for number, token in enumerate(tokens) if token_script(token) == "Grek"]
    assert len(greek) > 20
    assert {int(swapped.origins[number]) for number in greek} == {0}


@pytest.mark.parametrize(
    ("token", "script"),
    [(" the", "Latn"), ("кот", "Cyrl"), ("漢", "Hani"), ("학교", "Hang"), (" 12", "Zyyy"),
     (".", "Zyyy"), ("é", "Latn"), ("कि", "Deva")],
)  # fmt: skip
def test_scripts_of_tokens(token, script):
    assert token_script(token.encode()) == script


def test_part_of_a_character_has_an_unknown_script():
    assert token_script(b"\xf0\x9f") == "Zzzz"


# --- loss, training, files ------------------------------------------------------------------------


def test_the_first_loss_after_a_mean_swap_is_far_from_chance(trained):
    before = loss(trained, OLD)
    after = loss(swap_tokenizer(trained, OLD, NEW, method="mean").model, NEW)
    assert before < 1.5, "the model must have learned something for this test"
    assert after < 0.5 * math.log(380)
    shuffled = swap_tokenizer(trained, OLD, NEW, method="mean").model
    with torch.no_grad():
        weight = shuffled.get_input_embeddings().weight
        weight.copy_(weight[torch.randperm(380, generator=torch.Generator().manual_seed(0))])
    assert loss(shuffled, NEW) > math.log(380)


def test_training_goes_on_and_the_files_are_those_of_any_model(trained, tmp_path):
    swapped = swap_tokenizer(trained, OLD, NEW).model
    first = loss(swapped, NEW)
    recipe = TrainingRecipe(
        steps=20, batch_size=16, learning_rate=5e-3, warmup_steps=2, seed=0, device="cpu"
    )
    train(swapped, sequences(NEW), None, recipe)
    assert loss(swapped, NEW) < first - 0.5
    save_model(swapped, tmp_path)
    loaded = load_model(tmp_path, "cpu")
    assert loaded.config.vocab_size == 380
    assert torch.equal(logits(loaded, NEW), logits(swapped, NEW))


def test_untied_models_with_a_bias_come_back_from_their_files(tmp_path):
    swapped = swap_tokenizer(phi(), OLD, NEW).model
    swapped.save_pretrained(tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, local_files_only=True).eval()
    assert torch.equal(logits(loaded, NEW), logits(swapped, NEW))


# --- padding and special ids ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old_rows", "multiple", "expected"),
    [(300, None, 380), (320, None, 384), (304, None, 384), (333, None, 413), (300, 64, 384),
     (512, None, 512), (320, 1, 380), (301, None, 381)],
)  # fmt: skip
def test_padding_is_kept_or_chosen(old_rows, multiple, expected):
    swapped = swap_tokenizer(llama(old_rows), OLD, NEW, pad_to_multiple_of=multiple)
    assert swapped.model.config.vocab_size == expected
    assert swapped.padding_rows == expected - 380


@pytest.mark.parametrize("vocab_size", [300, 320])
def test_padded_rows_are_never_generated_and_no_likelier_than_the_average(vocab_size):
    swapped = swap_tokenizer(llama(vocab_size), OLD, NEW, pad_to_multiple_of=128).model
    assert swapped.config.vocab_size == 384
    suppressed = swapped.generation_config.suppress_tokens
    assert suppressed == [380, 381, 382, 383]
    if vocab_size == 300:
        probabilities = torch.softmax(logits(swapped, NEW), dim=-1)
        assert (probabilities[..., 380:] <= 1 / 380 + 1e-6).all()
    with torch.no_grad():
        swapped.get_output_embeddings().weight[380:] *= 1000
        ids = swapped.generate(
            torch.tensor([[5]]), max_new_tokens=12, do_sample=True, pad_token_id=0
        )
    assert int(ids.max()) < 380


def test_special_ids_move_in_both_configurations_and_in_the_embedding():
    old = byte_bpe(TEXTS, 300, specials=["<pad>", "<s>", "</s>"])
    new = byte_bpe(TEXTS, 350, specials=["</s>", "<end of turn>", "<s>", "<pad>"])
    model = llama()
    model.config.bos_token_id, model.config.eos_token_id, model.config.pad_token_id = 1, 2, 0
    model.get_input_embeddings().padding_idx = 0
    model.generation_config.eos_token_id = [2, 1]
    model.generation_config.suppress_tokens = [0, 299]
    swapped = swap_tokenizer(model, old, new).model
    config = swapped.config
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (2, 0, 3)
    assert swapped.generation_config.eos_token_id == [0, 2]
    assert 3 in swapped.generation_config.suppress_tokens
    assert swapped.get_input_embeddings().padding_idx == 3
    before, after = rows(model), rows(swapped)
    assert torch.equal(after[[3, 2, 0]], before[[0, 1, 2]])


def test_a_special_id_without_a_counterpart_is_refused_until_one_is_named():
    old = byte_bpe(TEXTS, 300, specials=["<s>", "</s>"])
    new = byte_bpe(TEXTS, 350, specials=["<s>", END_OF_TEXT])
    model = llama()
    model.config.eos_token_id = 1
    with pytest.raises(ValueError, match=r"config.eos_token_id is 1.*specials"):
        swap_tokenizer(model, old, new)
    swapped = swap_tokenizer(model, old, new, specials={END_OF_TEXT: "</s>"}).model
    assert swapped.config.eos_token_id == 1
    assert torch.equal(rows(swapped)[1], rows(model)[1])


def test_words_spelled_in_old_ids_are_refused():
    model = llama()
    model.generation_config.bad_words_ids = [[5, 6]]
    with pytest.raises(ValueError, match=r"generation_config\.bad_words_ids holds ids"):
        swap_tokenizer(model, OLD, NEW)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "random"}, "method is 'random'"),
        ({"method": "focus"}, "method 'focus' needs vectors for"),
        ({"method": "focus", "vectors": np.zeros((5, 2))}, r"shape \(5, 2\), but 380 rows"),
        ({"copy_equal": False}, "copy_equal=False is for method 'script'"),
        ({"pad_to_multiple_of": 0}, "pad_to_multiple_of is 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        swap_tokenizer(llama(), OLD, NEW, **options)


def test_a_tokenizer_that_the_model_was_not_trained_with_is_refused():
    with pytest.raises(ValueError, match="the model has 300 rows, but the old tokenizer 380"):
        swap_tokenizer(llama(), NEW, OLD)
