"""`tokenmill tokenize` shows what tokenizers make of a text, and names what it cannot open."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from operators.tokenization import TokenizerConfig
from operators.tokenization.laboratory import train_tokenizer
from pipelines.cli import cli
from pipelines.cli_tokenize import coloured, shown
from stages.tokenizer_files import save_tokenizer

TEXT = "the mill grinds, the mill sings\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tokenizers")
    for algorithm in ("bpe", "picky_bpe"):
        (made / algorithm).mkdir()
        config = TokenizerConfig(algorithm=algorithm, vocab_size=280)  # type: ignore[arg-type]
        save_tokenizer(train_tokenizer([TEXT] * 9, config), made / algorithm)
    return made


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKENMILL_STORE", raising=False)
    monkeypatch.chdir(tmp_path)


def call(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["tokenize", *arguments], input=stdin)


def test_pieces_put_together_are_the_text_and_counts_are_right(folder: Path) -> None:
    done = call(str(folder / "bpe"), str(folder / "picky_bpe"), TEXT, "--json")
    assert done.exit_code == 0, done.output
    for made in json.loads(done.stdout):
        assert b"".join(bytes.fromhex(piece["bytes"]) for piece in made["pieces"]) == TEXT.encode()
        assert made["tokens"] == len(made["pieces"]) < len(TEXT)
        assert made["vocab_size"] <= 280


def test_the_page_shows_each_tokenizer_with_its_pieces_and_one_table(folder: Path) -> None:
    done = call(str(folder / "bpe"), str(folder / "picky_bpe" / "tokenmill.json"), TEXT)
    assert done.exit_code == 0, done.output
    assert "the|·mill|" in done.stdout
    assert "⏎" in done.stdout
    assert "bytes a token" in done.stdout
    assert done.stdout.count("picky_bpe") == 2


def test_a_file_of_the_library_opens_too_and_standard_input_is_a_text(folder: Path) -> None:
    done = call(str(folder / "bpe" / "tokenizer.json"), "-", "--json", stdin=TEXT)
    (library,) = json.loads(done.stdout)
    (own,) = json.loads(call(str(folder / "bpe"), TEXT, "--json").stdout)
    assert library["pieces"] == own["pieces"]


def test_another_encoder_spells_otherwise(folder: Path) -> None:
    done = call(str(folder / "bpe"), "the", "--encoder", "greedy_suffix", "--json")
    assert done.exit_code == 0, done.output
    refused = call(str(folder / "bpe"), "the", "--encoder", "nothing")
    assert refused.exit_code == 2
    assert "longest_first" in refused.stderr
    library = call(str(folder / "bpe" / "tokenizer.json"), "the", "--encoder", "greedy")
    assert library.exit_code == 2
    assert "--encoder needs a tokenizer of tokenizer.train" in library.stderr


@pytest.mark.parametrize(
    ("content", "told"),
    [("{}", "cannot open it"), ('{"kind": "other"}', "cannot open it")],
)
def test_what_is_no_tokenizer_is_said_in_a_line(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(content)
    done = call(str(path), "text")
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert told in line


def test_a_folder_without_a_tokenizer_and_an_unknown_stage_are_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "neither tokenmill.json nor tokenizer.json" in call(str(empty), "text").stderr
    done = call("no-such-stage", "text")
    assert done.exit_code == 2
    assert "no-such-stage" in done.stderr


def test_an_empty_text_has_no_pieces_and_divides_nothing_by_zero(folder: Path) -> None:
    done = call(str(folder / "bpe"), "")
    assert done.exit_code == 0, done.output


def test_cut_characters_and_control_characters_can_be_read() -> None:
    assert shown("é".encode()[:1]) == "\\xc3"
    assert shown(b" a\tb\r\n") == "·a→b␍⏎"
    assert shown("\0\u202e".encode()) == "\\x00\\u202e"


def test_colours_alternate_where_there_are_colours() -> None:
    spans = coloured(["a", "b", "c"], colour=True).spans
    assert spans[0].style == spans[2].style != spans[1].style
    assert coloured(["a", "b"], colour=False).plain == "a|b"
