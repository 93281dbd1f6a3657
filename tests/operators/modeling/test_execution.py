"""Running a model leaves the process and the model's mode as they were."""

import pytest
import torch

from operators.modeling import (
    LlamaShape,
    build_llama,
    cpu_threads,
    inference,
    load_model,
    resolve_device,
    save_model,
)
from operators.modeling.execution import parameters_to_bfloat16


def test_the_thread_count_is_set_and_put_back_even_after_an_error():
    before = torch.get_num_threads()
    wanted = 1 if before > 1 else 2
    seen = []

    def fail():
        with cpu_threads(wanted):
            seen.append(torch.get_num_threads())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert seen == [wanted]
    assert torch.get_num_threads() == before


def test_no_threads_is_an_error():
    with pytest.raises(ValueError, match="threads"), cpu_threads(0):
        pass


@pytest.mark.parametrize("training", [True, False])
def test_inference_is_in_evaluation_mode_without_gradients_and_restores_the_mode(training):
    model = torch.nn.Linear(2, 2).train(training)
    with inference(model, "cpu", 1) as device:
        assert device.type == "cpu"
        assert not model.training
        assert not model(torch.ones(1, 2)).requires_grad
    assert model.training is training


def test_auto_is_the_gpu_where_there_is_one():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert resolve_device("auto").type == expected
    assert resolve_device("cpu").type == "cpu"


def test_a_model_in_pure_bfloat16_turns_positions_as_it_does_when_it_is_loaded(tmp_path):
    shape = LlamaShape(
        hidden_size=64, layers=1, heads=2, kv_heads=2, intermediate_size=24, context_length=64
    )
    model = build_llama(shape, 32, bos_token_id=0, eos_token_id=1, seed=0)
    frequencies = model.model.rotary_emb.inv_freq.clone()
    parameters_to_bfloat16(model)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert torch.equal(model.model.rotary_emb.inv_freq, frequencies)
    save_model(model, tmp_path)
    ids = torch.arange(64)[None] % 32
    loaded = load_model(tmp_path, device="cpu")
    assert torch.equal(loaded(input_ids=ids).logits, model.eval()(input_ids=ids).logits)
