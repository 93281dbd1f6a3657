"""Tokenizers as files: what `tokenizer.train` writes, and how other stages open it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages.contract import Artifact

if TYPE_CHECKING:
    from operators.tokenization import ByteTokenizer, TokenizerModel
    from operators.tokenization.task_adaptive import TaskAdaptiveTokenizer
    from operators.tokenization.tokenizer import Tokenizer

END_OF_TEXT = "<|endoftext|>"

MODEL_FILE = "tokenmill.json"
LIBRARY_FILE = "tokenizer.json"

# Of an adapted tokenizer. The base lies below, where no library takes it for the whole.
TASK_FILE = "task.json"
BASE_FOLDER = "base"

# Encoders that the library runs in the same way, special token or not, and faster to start.
_AS_IN_LIBRARY = ("merges", "unigram")


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> bool:
    """Write a tokenizer into a folder; says whether other libraries can open it there.

    `tokenmill.json` is the tokenizer. Where `tokenizers` can express it, `tokenizer.json` and what
    `AutoTokenizer.from_pretrained` reads lie beside it.
    """
    from operators.tokenization import to_transformers

    tokenizer.save(Path(folder, MODEL_FILE))
    try:
        hub = tokenizer.to_hf()
    except ValueError:
        return False
    to_transformers(hub, tokenizer.model.config.end_of_text).save_pretrained(str(folder))
    return True


def load_tokenizer(artifact: Artifact) -> ByteTokenizer:
    """The tokenizer of an artifact: of a tokenizer, or of a model that carries its own.

    `end_of_text` inside of a text is ordinary text.

    Raises:
        ValueError: if there is none in it.
    """
    return open_tokenizer(artifact.folder())


def open_tokenizer(folder: Path) -> ByteTokenizer:
    """`load_tokenizer` of a local folder."""
    from operators.tokenization import HubByteTokenizer, TokenizerModel

    if is_adapted(folder):
        return open_adapted(folder)
    if Path(folder, MODEL_FILE).is_file():
        model = TokenizerModel.load(Path(folder, MODEL_FILE))
        expressed = model.config.own_encoder in _AS_IN_LIBRARY and not model.config.dropout
        if not (expressed and Path(folder, LIBRARY_FILE).is_file()):
            # Here and not above: what it compiles takes time to load.
            from operators.tokenization.tokenizer import Tokenizer as OwnTokenizer

            return OwnTokenizer(model)
    hub = open_with_library(folder)
    hub.encode_special_tokens = True
    return HubByteTokenizer(hub)


def is_adapted(folder: Path) -> bool:
    """Whether a local folder has a tokenizer of `tokenizer.adapt`."""
    return Path(folder, TASK_FILE).is_file()


def save_adapted(base: Path, task: TokenizerModel, folder: Path) -> None:
    """Write a base tokenizer, given by its folder, and the pieces of a task into a folder."""
    shutil.copytree(base, Path(folder, BASE_FOLDER))
    task.save(Path(folder, TASK_FILE))


def open_adapted(
    folder: Path, *, alpha: float | None = None, seed: int = 0
) -> TaskAdaptiveTokenizer:
    """The tokenizer that `save_adapted` wrote; with alpha, it draws its spellings from `seed`."""
    from operators.tokenization import TokenizerModel
    from operators.tokenization.task_adaptive import TaskAdaptiveTokenizer

    task = TokenizerModel.load(Path(folder, TASK_FILE))
    task = replace(task, config=replace(task.config, seed=seed))
    return TaskAdaptiveTokenizer(open_tokenizer(Path(folder, BASE_FOLDER)), task, alpha=alpha)


def copy_tokenizer(artifact: Artifact, folder: Path) -> None:
    """Put the files of a tokenizer into a model's folder: the model then carries it."""
    shutil.copytree(artifact.folder(), folder, dirs_exist_ok=True, copy_function=shutil.copyfile)


def load_own_tokenizer(artifact: Artifact) -> Tokenizer:
    """The tokenizer with its model: for what only ours can do.

    Raises:
        ValueError: if another library made it.
    """
    from operators.tokenization import TokenizerModel
    from operators.tokenization.tokenizer import Tokenizer as OwnTokenizer

    if is_adapted(artifact.folder()):
        raise ValueError(
            "this tokenizer was made by tokenizer.adapt, which spells in its own way: give what it "
            "was adapted from"
        )
    path = Path(artifact.folder(), MODEL_FILE)
    if not path.is_file():
        raise ValueError(
            f"there is no {MODEL_FILE} in this {artifact.kind}: only tokenizers that "
            "tokenizer.train made can be encoded in another way"
        )
    return OwnTokenizer(TokenizerModel.load(path))


def load_library_tokenizer(artifact: Artifact) -> Any:
    """The `tokenizers.Tokenizer` of an artifact, for what needs places in the text.

    Raises:
        ValueError: if the tokenizer cannot be expressed in that library, or there is none.
    """
    return open_with_library(artifact.folder())


def open_with_library(folder: Path) -> Any:
    """`load_library_tokenizer` of a local folder."""
    from tokenizers import Tokenizer as HubTokenizer

    path = Path(folder, LIBRARY_FILE)
    if path.is_file():
        return HubTokenizer.from_file(str(path))
    if Path(folder, MODEL_FILE).is_file() or is_adapted(folder):
        raise ValueError(
            "this needs a tokenizer that the library `tokenizers` can express, and the algorithm "
            "or encoder of this one has no form there: train one with algorithm bpe, wordpiece or "
            "unigram, and its own encoder"
        )
    raise ValueError(f"there is no tokenizer in {folder}: neither {MODEL_FILE} nor {LIBRARY_FILE}")


def end_of_text_id(tokenizer: ByteTokenizer) -> int:
    """The id that stands for the end of a text.

    Raises:
        ValueError: if the tokenizer has no such special token.
    """
    wanted = END_OF_TEXT.encode()
    for number in sorted(tokenizer.special_ids):
        if tokenizer.tokens[number] == wanted:
            return number
    raise ValueError(f"the tokenizer has no special token {END_OF_TEXT}")
