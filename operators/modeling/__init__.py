"""Language models: build, train, score, save and load them."""

from operators.modeling.architecture import LlamaShape, build_llama, parameter_count
from operators.modeling.batches import batch_rows
from operators.modeling.checkpoints import load_model, save_model
from operators.modeling.execution import (
    cpu_threads,
    inference,
    next_token_logits,
    resolve_device,
)
from operators.modeling.losses import sample_losses, token_losses
from operators.modeling.recipe import Precision, TrainingRecipe, learning_rate_at
from operators.modeling.reports import StepReport, TrainingSummary
from operators.modeling.scoring import score_documents
from operators.modeling.token_rows import TokenRows
from operators.modeling.training import Training, train
from operators.modeling.training_state import TrainingState
from operators.modeling.windows import Window, sliding_windows

__all__ = [
    "LlamaShape",
    "Precision",
    "StepReport",
    "TokenRows",
    "Training",
    "TrainingRecipe",
    "TrainingState",
    "TrainingSummary",
    "Window",
    "batch_rows",
    "build_llama",
    "cpu_threads",
    "inference",
    "learning_rate_at",
    "load_model",
    "next_token_logits",
    "parameter_count",
    "resolve_device",
    "sample_losses",
    "save_model",
    "score_documents",
    "sliding_windows",
    "token_losses",
    "train",
]
