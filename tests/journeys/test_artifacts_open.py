"""Every artifact opens with the tools people use, as it lies there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from journey import Project

from stages.kinds import SCHEMAS

pytestmark = pytest.mark.journey

Finished = tuple[Project, dict[str, Any]]


def outputs(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{name}.{output}", made)
        for name, stage in document["stages"].items()
        for output, made in stage["outputs"].items()
    ]


def test_rows_open_with_pyarrow_polars_and_datasets(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    import polars
    import pyarrow.dataset
    from datasets import load_dataset

    _, document = finished
    opened = set()
    for name, made in outputs(document):
        if made["kind"] in ("model", "tokenizer"):
            continue
        folder = made["path"]
        files = sorted(map(str, Path(folder).glob("*.arrow")))
        assert pyarrow.dataset.dataset(folder, format="ipc").count_rows() == made["rows"], name
        frame = polars.scan_ipc(f"{folder}/*.arrow").collect()
        assert frame.height == made["rows"], name
        schema = pyarrow.dataset.dataset(folder, format="ipc").schema
        assert frame.columns == schema.names, name
        assert set(SCHEMAS[made["kind"]].names) <= set(schema.names), name
        if made["rows"] and made["kind"] not in opened:  # `datasets` opens nothing without rows
            data = load_dataset(
                "arrow", data_files=files, split="train", cache_dir=str(tmp_path / "datasets")
            )
            assert data.num_rows == made["rows"], name
            assert data.column_names == frame.columns, name
            opened.add(made["kind"])
    assert opened == {"documents", "dropped", "bitext", "tokens", "metrics", "report"}


def test_models_open_with_transformers_and_predict(finished: Finished) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _, document = finished
    path = document["stages"]["model[arm=edited,seed=2]"]["outputs"]["model"]["path"]
    tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(path, local_files_only=True)
    batch = tokenizer("The quick brown fox", return_tensors="pt")
    logits = model(input_ids=batch["input_ids"]).logits
    assert logits.shape[-1] == model.config.vocab_size == len(tokenizer)
    assert torch.isfinite(logits).all()


def test_tokenizers_open_and_give_back_every_byte(finished: Finished) -> None:
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    _, document = finished
    path = document["stages"]["tokenizer"]["outputs"]["tokenizer"]["path"]
    text = "naïve\tcafé\r\n 日本語 👩‍👩‍👧 \u200f x"
    hub = AutoTokenizer.from_pretrained(path, local_files_only=True)
    assert hub.decode(hub(text)["input_ids"]) == text
    plain = Tokenizer.from_file(str(Path(path, "tokenizer.json")))
    assert plain.decode(plain.encode(text).ids) == text
    assert plain.encode(text).ids == hub(text)["input_ids"]


def test_the_report_is_one_file_that_says_what_the_intervals_allow(
    finished: Finished, tmp_path: Path
) -> None:
    project, _ = finished
    project.call("show", "comparison.report", "--extract", str(tmp_path))
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'src="data:image/png;base64,' in html
    assert "http://" not in html
    assert "https://" not in html
    markdown = (tmp_path / "report.md").read_text(encoding="utf-8")
    for arm in ("baseline", "edited", "reweighted", "edited+reweighted"):
        assert f"| {arm} |" in markdown
    assert "with 2 seeds an arm" in markdown


def test_ls_show_and_lineage_lead_from_the_comparison_to_the_source_files(
    finished: Finished,
) -> None:
    project, document = finished
    listed = project.call("ls").stdout
    digest = document["stages"]["comparison"]["digest"]
    assert digest[:10] in listed
    shown = project.call("show", digest[:12]).stdout
    assert "report.compare" in shown
    assert "media_type" in shown
    for thing in (
        "comparison",
        "comparison.bits_per_byte",
        digest[:12],
        "model[arm=edited,seed=1]",
    ):
        tree = project.call("lineage", thing).stdout
        assert ".txt" in tree, thing
        assert "corpus.documents" in tree, thing
    missing = project.call("lineage", "comparisn", status=2)
    assert "comparisn" in missing.stderr


def test_verify_reads_every_byte_and_finds_a_changed_one(
    after_a_run: Finished,
) -> None:
    project, _ = after_a_run
    assert "0 with faults" in project.call("verify").stdout
    shard = sorted(project.store.glob("shards/corpus.clean/*/*/documents/*.arrow"))[0]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    assert "1 with faults" in project.call("verify", status=1).stdout
