"""`tokenmill tokenize`: what tokenizers make of a text, side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.cli_store import find
from pipelines.console import fail, print_json, store_of, store_options

if TYPE_CHECKING:
    from rich.text import Text

    from operators.tokenization import ByteTokenizer

EPILOG = """\b
Examples:
  tokenmill tokenize tokenizer "The mill grinds 12,345 grains."
  tokenmill tokenize tokenizer other/tokenizer.json "two side by side"
  tokenmill tokenize 'tokenizer[algorithm=bpe]' --encoder longest_first "LBPE"
  tokenmill tokenize tokenizer - < text.txt
"""

# Two backgrounds in turn, so that a piece ends where the colour changes.
STYLES = ("black on bright_cyan", "black on bright_yellow")
# Where there is no colour.
BORDER = "|"
SHOWN = {" ": "·", "\n": "⏎", "\t": "→", "\r": "␍"}


@click.command(epilog=EPILOG)
@click.argument("tokenizers", nargs=-1, required=True, metavar="TOKENIZER...")
@click.argument("text")
@click.option(
    "--encoder",
    metavar="NAME",
    help="Spell with another encoder: merges, longest_first, longest_merge, pathpiece, greedy, "
    "greedy_suffix, events, unigram. For tokenizers of tokenizer.train.",
)
@click.option("--ids/--no-ids", default=True, help="Show the id of each piece; default on.")
@store_options
def tokenize(
    tokenizers: tuple[str, ...],
    text: str,
    encoder: str | None,
    ids: bool,
    store_url: str | None,
    tracking_uri: str | None,
    as_json: bool,
) -> None:
    """Show the pieces of a text in colour, their ids and how many they are.

    TOKENIZER is a folder or file with a tokenizer (tokenmill.json or tokenizer.json), or a
    tokenizer or model in the store: a digest, STAGE, 'STAGE[axis=value]'. TEXT is the text, or -
    for standard input.
    """
    if text == "-":
        text = sys.stdin.read()
    try:
        text.encode()
    except UnicodeEncodeError as error:
        fail(f"TEXT is not Unicode: there is no character at position {error.start}")
    opened: dict[str, ByteTokenizer] = {}
    for name in tokenizers:
        for label, tokenizer in _opened(name, store_url, encoder):
            opened[label] = tokenizer
    encoded = {label: tokenizer.encode(text) for label, tokenizer in opened.items()}
    if as_json:
        print_json(
            [
                {
                    "tokenizer": label,
                    "vocab_size": len(tokenizer.tokens),
                    "tokens": len(encoded[label]),
                    "pieces": [
                        {"id": number, "text": _piece(tokenizer.tokens[number]),
                         "bytes": tokenizer.tokens[number].hex()}
                        for number in encoded[label]
                    ],
                }
                for label, tokenizer in opened.items()
            ]
        )  # fmt: skip
        return
    _show(text, opened, encoded, ids=ids)


def _show(
    text: str, opened: dict[str, ByteTokenizer], encoded: dict[str, list[int]], *, ids: bool
) -> None:
    from pipelines.display import console, rows_table

    out = console()
    for label, tokenizer in opened.items():
        pieces = [(number, shown(tokenizer.tokens[number])) for number in encoded[label]]
        out.print(label, style="bold", markup=False)
        out.print(coloured([piece for _, piece in pieces], colour=out.is_terminal), soft_wrap=True)
        if ids:
            out.print(" ".join(str(number) for number, _ in pieces), style="dim", soft_wrap=True)
        out.print()
    characters, size = len(text), len(text.encode())
    least = min(map(len, encoded.values()))
    rows = [
        (
            label,
            f"{len(tokenizer.tokens):,}",
            f"{len(encoded[label]):,}",
            f"{len(encoded[label]) / least:.2f}" if least else "",
            f"{size / len(encoded[label]):.2f}" if encoded[label] else "",
            f"{characters / len(encoded[label]):.2f}" if encoded[label] else "",
        )
        for label, tokenizer in opened.items()
    ]
    columns = ("tokenizer", "vocabulary", "tokens", "over the fewest", "bytes a token",
               "characters a token")  # fmt: skip
    out.print(rows_table(columns, rows))


def shown(token: bytes) -> str:
    """A token as it can be read: spaces and line ends as signs, cut characters as \\xe2."""
    text = _piece(token)
    for character, sign in SHOWN.items():
        text = text.replace(character, sign)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def coloured(pieces: list[str], *, colour: bool) -> Text:
    """Pieces in two colours in turn, or with a bar between where there is no colour."""
    from rich.text import Text

    if not colour:
        return Text(BORDER.join(pieces))
    made = Text()
    for number, piece in enumerate(pieces):
        made.append(piece, style=STYLES[number % len(STYLES)])
    return made


def _piece(token: bytes) -> str:
    return token.decode("utf-8", errors="backslashreplace")


def _opened(
    name: str, store_url: str | None, encoder: str | None
) -> list[tuple[str, ByteTokenizer]]:
    """The tokenizers that a word of the command line means, with what to call them."""
    path = Path(name)
    if path.exists():
        return [(name, _open(path, name, encoder))]
    store = store_of(store_url)
    made = []
    for manifest in find(store, name):
        label = f"{manifest.made_by['stage']} {manifest.digest[:10]}"
        if manifest.kind not in ("tokenizer", "model"):
            fail(f"{name} is a {manifest.kind}; needed is a tokenizer, or a model that carries one")
        made.append((label, _open(store.folder(manifest), label, encoder)))
    return made


def _open(path: Path, label: str, encoder: str | None) -> Any:
    from operators.tokenization import HubByteTokenizer, TokenizerModel
    from operators.tokenization.tokenizer import Tokenizer, load_tokenizer
    from stages.tokenizer_files import LIBRARY_FILE, MODEL_FILE, open_tokenizer

    try:
        if encoder is None and path.is_dir():
            return open_tokenizer(path)
        own = path / MODEL_FILE if path.is_dir() else path
        if encoder is not None:
            if not own.is_file() or path.name == LIBRARY_FILE:
                fail(f"--encoder needs a tokenizer of tokenizer.train, and {label} has no "
                     f"{MODEL_FILE}")  # fmt: skip
            return Tokenizer(TokenizerModel.load(own), encoder=encoder)  # type: ignore[arg-type]
        if path.name == MODEL_FILE:
            return load_tokenizer(path)
        from tokenizers import Tokenizer as HubTokenizer

        try:
            return HubByteTokenizer(HubTokenizer.from_file(str(path)))
        except Exception as error:  # the library raises no narrower type
            raise ValueError(f"the library `tokenizers` cannot open it: {error}") from error
    except ValueError as error:
        fail(f"{label}: {error}")
