"""Saved models: the same weights are the same bytes, and come back to the bit."""

import pytest
import torch

from operators.modeling import LlamaShape, build_llama, load_model, save_model


def fresh_model(tie_embeddings=True):
    shape = LlamaShape(16, 1, 2, 1, 24, 12, tie_embeddings=tie_embeddings, rope_theta=5000.0)
    return build_llama(shape, 32, bos_token_id=0, eos_token_id=1, seed=0)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("tie_embeddings", [True, False])
def test_two_saves_of_the_same_weights_are_the_same_bytes(tmp_path, tie_embeddings):
    save_model(fresh_model(tie_embeddings), tmp_path / "a")
    save_model(fresh_model(tie_embeddings), tmp_path / "deep" / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "deep" / "b")
    assert {"config.json", "model.safetensors"} <= contents(tmp_path / "a").keys()


def test_a_loaded_model_saves_to_the_same_bytes_wherever_it_was_loaded_from(tmp_path):
    save_model(fresh_model(), tmp_path / "a")
    save_model(load_model(tmp_path / "a", "cpu"), tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


@pytest.mark.parametrize("tie_embeddings", [True, False])
def test_a_loaded_model_is_the_saved_one_to_the_bit(tmp_path, tie_embeddings):
    model = fresh_model(tie_embeddings).eval()
    save_model(model, tmp_path)
    loaded = load_model(str(tmp_path), "cpu")
    ids = torch.arange(12).unsqueeze(0)
    with torch.no_grad():
        assert torch.equal(loaded(input_ids=ids).logits, model(input_ids=ids).logits)
    assert not loaded.training
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}


def test_saving_and_loading_say_nothing(tmp_path, capfd):
    save_model(fresh_model(), tmp_path)
    load_model(tmp_path, "cpu")
    assert capfd.readouterr() == ("", "")


def test_a_folder_without_a_model_is_an_error_and_no_download(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json is missing"):
        load_model(tmp_path / "gpt2", "cpu")
