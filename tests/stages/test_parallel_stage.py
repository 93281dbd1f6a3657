"""corpus.parallel: rows of one number translate each other, whatever files they come from."""

import gzip

import polars as pl
import pytest

from stages.corpus_parallel import Parallel

ROWS = {
    "eng_Latn": ["One mill.", "Two mills.", "Three mills."],
    "deu_Latn": ["Eine Mühle.", "Zwei Mühlen.", "Drei Mühlen."],
}


@pytest.fixture(params=["parquet", "csv", "tsv", "jsonl", "arrow", "folder", "gz"])
def source(request, tmp_path):
    """The same rows in each form that can be read."""
    table = pl.DataFrame({"id": ["x", "y", "z"], **ROWS})
    path = tmp_path / f"rows.{request.param}"
    if request.param == "parquet":
        table.write_parquet(path)
    elif request.param == "csv":
        table.write_csv(path)
    elif request.param == "tsv":
        table.write_csv(path, separator="\t")
    elif request.param == "jsonl":
        table.write_ndjson(path)
    elif request.param == "arrow":
        table.write_ipc(path)
    else:
        ending = "dev" if request.param == "folder" else "dev.gz"
        opened = open if request.param == "folder" else gzip.open
        for name, rows in ROWS.items():
            with opened(tmp_path / f"{name}.{ending}", "wb") as file:
                file.write("".join(f"{row}\n" for row in rows).encode())
        return str(tmp_path)
    return str(path)


def test_each_row_becomes_a_document_in_each_language(run_stage, source):
    ran = run_stage(Parallel, source=source)
    found = {(row["language"], row["group"]): row["text"] for row in ran.rows("documents")}
    assert found == {(name, str(number)): text for name, texts in ROWS.items()
                     for number, text in enumerate(texts, start=1)}  # fmt: skip
    assert {row["id"] for row in ran.rows("documents")} >= {"eng_Latn#1", "deu_Latn#3"}
    assert ran.context.metrics == {"languages": 2, "sentences": 3}
    assert ran.rows("dropped") == []


def test_rows_can_be_divided_and_keep_their_numbers(run_stage, source):
    ran = run_stage(Parallel, source=source, first=2, last=2)
    assert [(row["id"], row["text"]) for row in ran.rows("documents")] == [
        (f"{name}#2", ROWS[name][1]) for name in sorted(ROWS, reverse="eng" in ran.rows()[0]["id"])
    ]
    with pytest.raises(ValueError, match="has 3 rows: none from 9 on"):
        run_stage(Parallel, source=source, first=9)
    with pytest.raises(ValueError, match="must not be below first 3"):
        Parallel.Config(source=source, first=3, last=2)


def test_a_sentence_that_one_language_lacks_is_dropped_in_all(run_stage, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("eng_Latn,deu_Latn\nA mill.,\nThe sea.,Das Meer.\n")
    ran = run_stage(Parallel, source=str(path))
    assert sorted(row["id"] for row in ran.rows("documents")) == ["deu_Latn#2", "eng_Latn#2"]
    dropped = ran.rows("dropped")
    assert sorted(row["id"] for row in dropped) == ["deu_Latn#1", "eng_Latn#1"]
    assert {row["reason"] for row in dropped} == {"missing_translation"}


def test_files_of_different_lengths_are_named(run_stage, tmp_path):
    (tmp_path / "eng_Latn.dev").write_text("a\nb\n")
    (tmp_path / "deu_Latn.dev").write_text("a\n")
    with pytest.raises(ValueError, match=r"eng_Latn \(.*eng_Latn.dev\) has 2 rows, but deu_Latn"):
        run_stage(Parallel, source=str(tmp_path))


def test_a_missing_language_is_named_with_those_there_are(run_stage, source):
    with pytest.raises(ValueError, match="no column or file for fra_Latn; found: eng_Latn"):
        run_stage(Parallel, source=source, languages=["eng_Latn", "fra_Latn"])
    ran = run_stage(Parallel, source=source, languages=["deu_Latn"])
    assert {row["language"] for row in ran.rows("documents")} == {"deu_Latn"}


def test_a_changed_row_changes_what_the_stage_reads(source, tmp_path):
    stage = Parallel(Parallel.Config(source=source))
    before = dict(stage.sources())
    assert before
    path = next(path for path in sorted(tmp_path.iterdir()) if path.is_file())
    path.write_bytes(path.read_bytes() + b"x")
    assert dict(stage.sources()) != before


def test_names_of_the_locale_data_are_rows_in_many_languages(run_stage):
    ran = run_stage(Parallel, source="cldr://names", languages=["eng_Latn", "deu_Latn", "jpn_Jpan"])
    found = {}
    for row in ran.rows("documents"):
        found.setdefault(row["group"], {})[row["language"]] = row["text"]
    assert {
        "eng_Latn": "Germany",
        "deu_Latn": "Deutschland",
        "jpn_Jpan": "ドイツ",
    } in found.values()
    assert all(len(row) == 3 for row in found.values())
    assert len(found) > 1000


def test_by_default_the_locale_data_give_every_language_that_has_most_names(run_stage):
    ran = run_stage(Parallel, source="cldr://names")
    assert ran.context.metrics["languages"] > 30
    assert ran.context.metrics["sentences"] > 900


def test_what_the_locale_data_lack_is_named(run_stage):
    with pytest.raises(ValueError, match='cldr://names" has no tlh_Piqd'):
        run_stage(Parallel, source="cldr://names", languages=["tlh_Piqd"])
    with pytest.raises(ValueError, match="write cldr://names"):
        run_stage(Parallel, source="cldr://dates")
