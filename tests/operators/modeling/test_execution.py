"""Running a model leaves the process and the model's mode as they were."""

import pytest
import torch

from operators.modeling import cpu_threads, inference, resolve_device


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
