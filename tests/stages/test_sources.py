"""Where documents come from: every format and scheme, clear errors, and hashes of content."""

import json
import os

import fsspec
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

from stages import content_hash
from stages.corpus import Documents
from stages.sources import Columns, open_source

ROWS = [
    {"name": "a", "body": "First text.", "tongue": "eng_Latn", "work": "w1"},
    {"name": "b", "body": "Zweiter Text.", "tongue": "deu_Latn", "work": "w1"},
]
FIELDS = {"text_field": "body", "id_field": "name", "language_field": "tongue",
          "group_field": "work"}  # fmt: skip


@pytest.fixture
def read(run_stage):
    """`read(*urls, **settings)` -> the rows of corpus.documents."""

    def read(*urls, **settings):
        return run_stage(Documents, sources=[str(url) for url in urls], **settings).rows()

    return read


def hashes(url, **settings):
    return Documents(Documents.Config(sources=[str(url)], **settings)).sources()


def write_rows(path):
    table = pa.Table.from_pylist(ROWS)
    if path.suffix == ".parquet":
        pa.parquet.write_table(table, path)
    elif path.suffix == ".arrow":
        pa.feather.write_feather(table, path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS), encoding="utf-8")
    return path


# --- formats --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["txt", "md"])
def test_a_text_file_is_one_document_with_its_path_as_id_and_source(tmp_path, read, ending):
    path = tmp_path / f"letter.{ending}"
    path.write_text("\ufeffLiebe Grüße,\nη Μαρία\n", encoding="utf-8")
    assert read(path, language="deu_Latn") == [
        {
            "id": str(path),
            "text": "Liebe Grüße,\nη Μαρία\n",
            "language": "deu_Latn",
            "source": str(path),
            "group": None,
            "edits": [],
        }
    ]


@pytest.mark.parametrize("ending", ["jsonl", "ndjson", "parquet", "arrow"])
def test_structured_rows_give_the_fields_that_are_asked_for(tmp_path, read, ending):
    path = write_rows(tmp_path / f"rows.{ending}")
    found = read(path, **FIELDS)
    assert [
        {"name": r["id"], "body": r["text"], "tongue": r["language"], "work": r["group"]}
        for r in found
    ] == ROWS
    assert {row["source"] for row in found} == {str(path)}


@pytest.mark.parametrize("ending", ["jsonl", "parquet", "arrow"])
def test_a_row_without_an_id_field_is_called_by_its_address_and_number(tmp_path, read, ending):
    path = write_rows(tmp_path / f"rows.{ending}")
    assert [row["id"] for row in read(path, text_field="body")] == [f"{path}#1", f"{path}#2"]


def test_blank_json_lines_are_no_documents_but_count_as_lines(tmp_path, read):
    path = tmp_path / "gaps.jsonl"
    path.write_text('{"text": "one"}\n\n{"text": "three"}\n', encoding="utf-8")
    assert [(r["id"], r["text"]) for r in read(path)] == [
        (f"{path}#1", "one"),
        (f"{path}#3", "three"),
    ]


def test_a_line_separator_inside_a_json_string_does_not_end_the_line(tmp_path, read):
    path = tmp_path / "separators.jsonl"
    text = "before\u2028after\x85and\u2029on"
    path.write_text(json.dumps({"text": text}, ensure_ascii=False) + "\n", encoding="utf-8")
    assert [row["text"] for row in read(path)] == [text]


def test_an_html_page_gives_its_text_without_scripts_and_tags(tmp_path, read):
    path = tmp_path / "page.html"
    path.write_text(
        "<html><head><title>t</title><script>var hidden = 1;</script></head>"
        "<body><p>The mill grinds slowly &amp; well.</p></body></html>",
        encoding="utf-8",
    )
    (row,) = read(path)
    assert row["text"] == "The mill grinds slowly & well."


# --- many files -----------------------------------------------------------------------------------


def test_a_glob_takes_the_files_it_matches_in_the_order_of_their_names(tmp_path, read):
    for name in ("b.txt", "a.txt", "c.md"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    assert [row["text"] for row in read(tmp_path / "*.txt")] == ["a.txt", "b.txt"]


def test_a_folder_gives_all_files_of_a_known_format_below_it_and_leaves_out_others(tmp_path, read):
    folder = tmp_path / "texts"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "x.txt").write_text("deep", encoding="utf-8")
    (folder / "y.md").write_text("flat", encoding="utf-8")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    assert [row["text"] for row in read(folder)] == ["deep", "flat"]


def test_max_files_takes_the_first_files_of_each_source(tmp_path, read):
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    assert [row["text"] for row in read(tmp_path / "*.txt", max_files=2)] == ["a.txt", "b.txt"]


def test_a_relative_source_has_the_same_ids_wherever_the_folder_lies(tmp_path, read, monkeypatch):
    found = []
    for checkout in ("here", "there"):
        (tmp_path / checkout / "texts").mkdir(parents=True)
        (tmp_path / checkout / "texts" / "a.txt").write_text("same", encoding="utf-8")
        monkeypatch.chdir(tmp_path / checkout)
        found.append((read("texts/*.txt"), hashes("texts/*.txt")))
    assert found[0] == found[1]
    assert found[0][0][0]["id"] == "texts/a.txt"


def test_any_fsspec_filesystem_can_be_read(read):
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe("/mill/a.txt", b"from memory")
    filesystem.pipe("/mill/b.jsonl", b'{"text": "also from memory"}\n')
    try:
        found = read("memory://mill/*")
        assert [row["text"] for row in found] == ["from memory", "also from memory"]
        assert [row["source"] for row in found] == [
            "memory:///mill/a.txt",
            "memory:///mill/b.jsonl",
        ]
        before = hashes("memory://mill/*")
        filesystem.pipe("/mill/a.txt", b"changed in memory")
        after = hashes("memory://mill/*")
        assert {address for address in before if before[address] != after[address]} == {
            "memory:///mill/a.txt"
        }
    finally:
        filesystem.rm("/mill", recursive=True)


def test_shards_hold_as_many_rows_as_the_config_says_and_all_documents_in_order(
    tmp_path, run_stage
):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f'{{"text": "t{n}"}}\n' for n in range(5)), encoding="utf-8")
    ran = run_stage(Documents, sources=[str(path)], shard_rows=2)
    assert [shard.num_rows for shard in ran["documents"].shards] == [2, 2, 1]
    assert [row["text"] for row in ran.rows()] == ["t0", "t1", "t2", "t3", "t4"]
    assert ran.context.metrics["documents"] == 5


# --- what is wrong is said ------------------------------------------------------------------------


def test_a_bad_json_line_names_file_and_line(tmp_path, read):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": "fine"}\n{"text": \n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.jsonl:2: is not valid JSON"):
        read(path, on_bad_input="fail")


def test_a_json_line_that_is_no_object_names_file_and_line(tmp_path, read):
    path = tmp_path / "list.jsonl"
    path.write_text('["text"]\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"list\.jsonl:1: is not a JSON object"):
        read(path)


@pytest.mark.parametrize("name", ["latin.txt", "latin.jsonl", "latin.html"])
def test_bytes_that_are_not_utf8_name_file_and_line(tmp_path, read, name):
    (tmp_path / name).write_bytes(b"\nfine\nna\xefve\n")
    with pytest.raises(ValueError, match=rf"{name}:3: is not UTF-8 text"):
        read(tmp_path / name)


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_missing_field_names_the_place_and_the_fields_there_are(tmp_path, read, ending):
    path = write_rows(tmp_path / f"rows.{ending}")
    with pytest.raises(
        ValueError, match=r'1: has no field "text"; it has name, body, tongue, work'
    ):
        read(path)


def test_a_parquet_file_that_is_none_names_the_file(tmp_path, read):
    (tmp_path / "rows.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(ValueError, match=r"rows\.parquet: cannot be read"):
        read(tmp_path / "rows.parquet")


@pytest.mark.parametrize("what", ["*.txt", "absent.txt", ""])
def test_a_source_that_matches_no_file_is_an_error_when_hashed_and_when_read(tmp_path, read, what):
    url = tmp_path / what
    for attempt in (hashes, read):
        with pytest.raises(FileNotFoundError, match="matches no file"):
            attempt(url)


def test_a_file_of_unknown_format_names_the_known_ones(tmp_path, read):
    (tmp_path / "data.xyz").write_text("?", encoding="utf-8")
    with pytest.raises(ValueError, match=r"data\.xyz.*no known format.*\.jsonl"):
        read(tmp_path / "data.xyz")


def test_an_unknown_scheme_is_an_error_that_names_the_source():
    with pytest.raises(ValueError, match=r'the source "nowhere://x" cannot be opened'):
        open_source("nowhere://x", Columns())


def test_two_documents_with_one_id_are_an_error_that_names_it(tmp_path, read):
    path = tmp_path / "twice.jsonl"
    path.write_text('{"text": "a", "k": "same"}\n{"text": "b", "k": "same"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match='two documents have the id "same"'):
        read(path, id_field="k")


def test_an_unknown_sample_names_those_there_are(read):
    with pytest.raises(ValueError, match='no sample "paralel"; there is: parallel'):
        read("sample://paralel")


# --- data sets ------------------------------------------------------------------------------------


@pytest.fixture
def local_data_set(tmp_path, monkeypatch):
    import datasets.config
    import huggingface_hub.constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))
    folder = tmp_path / "set"
    folder.mkdir()
    write_rows(folder / "train.jsonl")
    return folder


def test_a_local_data_set_is_read_through_datasets_without_the_hub(local_data_set, read):
    found = read(f"hf://{local_data_set}", **FIELDS)
    assert [(row["id"], row["text"]) for row in found] == [
        ("a", "First text."),
        ("b", "Zweiter Text."),
    ]
    assert [row["id"] for row in read(f"hf://{local_data_set}", text_field="body")] == [
        f"hf://{local_data_set}#1",
        f"hf://{local_data_set}#2",
    ]


def test_the_hash_of_a_local_data_set_is_that_of_its_files(local_data_set):
    before = hashes(f"hf://{local_data_set}")
    assert list(before) == [str(local_data_set / "train.jsonl")]
    (local_data_set / "train.jsonl").write_text('{"body": "other"}\n', encoding="utf-8")
    assert hashes(f"hf://{local_data_set}") != before


def test_a_local_data_set_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no folder"):
        hashes(f"hf://{tmp_path}/absent")


def test_an_unknown_option_of_a_data_set_is_an_error():
    with pytest.raises(ValueError, match='unknown option "spilt"; known is split'):
        open_source("hf://owner/name?spilt=test", Columns())


# --- the running Python ---------------------------------------------------------------------------


def addresses(url, max_files):
    return list(open_source(url, Columns(), max_files).hashes())


def test_the_standard_library_gives_prose_and_no_code(read):
    found = {row["id"]: row for row in read("python-docs://stdlib", max_files=12)}
    assert len(found) == 12
    assert {row["language"] for row in found.values()} == {"eng_Latn"}
    abc = next(row["text"] for id_, row in found.items() if id_.endswith("/_collections_abc.py"))
    assert "Abstract Base Classes (ABCs) for collections" in abc
    assert "import sys" not in abc


def test_the_help_topics_of_the_interpreter_are_documents_of_their_own():
    import pydoc_data.topics

    source = open_source("python-docs://stdlib", Columns())
    topics = "python-docs://stdlib/pydoc_data/topics.py"
    files = {topics: source._files()[topics]}
    source._files = lambda: files
    found = {document.id: document for document in source.documents()}
    assert found.keys() == {f"{topics}#{name}" for name in pydoc_data.topics.topics}
    assert {document.source for document in found.values()} == {topics}


def test_a_few_files_are_taken_from_all_packages_in_turn():
    found = addresses("python-docs://stdlib,numpy,pyarrow,pydantic", max_files=8)
    packages = [address.removeprefix("python-docs://").split("/")[0] for address in found]
    assert {name: packages.count(name) for name in packages} == {
        "stdlib": 2, "numpy": 2, "pyarrow": 2, "pydantic": 2,
    }  # fmt: skip


def test_files_come_in_a_stable_order_whatever_the_order_of_the_packages_in_the_url():
    found = addresses("python-docs://numpy,stdlib", max_files=10)
    assert found == sorted(found)
    assert found == addresses("python-docs://stdlib,numpy", max_files=10)


def test_a_package_is_found_by_its_name_in_any_spelling():
    exact = addresses("python-docs://annotated-types", max_files=3)
    assert exact
    assert addresses("python-docs://Annotated_Types", max_files=3) == exact
    assert all(address.startswith("python-docs://annotated-types/") for address in exact)


def test_an_unknown_package_is_an_error_that_names_it(read):
    for attempt in (hashes, read):
        with pytest.raises(ValueError, match="no installed package is called nmupy"):
            attempt("python-docs://stdlib,nmupy")


def test_this_project_is_no_part_of_the_corpus():
    source = open_source("python-docs://", Columns(), max_files=2000)
    found = {address.removeprefix("python-docs://").split("/")[0] for address in source._files()}
    assert {"numpy", "pyarrow", "stdlib"} <= found
    assert not [name for name in found if "tokenmill" in name]
    with pytest.raises(ValueError, match="no installed package is called tokenmill"):
        hashes("python-docs://tokenmill")


def test_tests_of_packages_are_no_part_of_the_corpus():
    source = open_source("python-docs://numpy,stdlib", Columns())
    assert not [address for address in source._files() if "/tests/" in address]


def test_the_code_of_the_standard_library_has_none_of_its_prose(read):
    code = {row["source"]: row for row in read("python-code://stdlib", max_files=12)}
    prose = {row["source"]: row for row in read("python-docs://stdlib", max_files=12)}
    assert {source.replace("code", "docs", 1) for source in code} == prose.keys()
    assert {row["language"] for row in code.values()} == {"zxx"}
    address = next(source for source in code if source.endswith("/_collections_abc.py"))
    assert "import sys" in code[address]["text"]
    assert "Abstract Base Classes (ABCs) for collections" not in code[address]["text"]
    assert "#" not in code[address]["text"]


def test_help_topics_and_readmes_are_no_code():
    source = open_source("python-code://stdlib", Columns())
    topics = "python-code://stdlib/pydoc_data/topics.py"
    files = {topics: source._files()[topics]}
    source._files = lambda: files
    assert [document.text for document in source.documents()] == [""]
    assert all(address.endswith(".py") for address in addresses("python-code://numpy", 2000))


# --- hashes ---------------------------------------------------------------------------------------


@pytest.fixture
def two_files(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for name in ("a.txt", "b.txt"):
        (folder / name).write_text(f"text of {name}", encoding="utf-8")
    return folder


def touch(path, seconds):
    stat = path.stat()
    os.utime(path, (stat.st_atime, stat.st_mtime + seconds))


def forbid_reading(monkeypatch):
    def fail(content):
        raise AssertionError("a file was read again")

    monkeypatch.setattr(content_hash, "_hash_opened", fail)


def test_a_changed_file_changes_its_hash_and_no_other(two_files):
    before = hashes(two_files)
    (two_files / "a.txt").write_text("another text", encoding="utf-8")
    after = hashes(two_files)
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == [str(two_files / "a.txt")]


def test_a_change_that_keeps_the_size_is_seen_by_the_time(two_files):
    before = hashes(two_files)
    (two_files / "a.txt").write_text("TEXT of a.txt", encoding="utf-8")
    touch(two_files / "a.txt", 1)
    assert hashes(two_files) != before


def test_a_touched_file_with_the_same_content_keeps_its_hash(two_files):
    before = hashes(two_files)
    touch(two_files / "a.txt", 60)
    assert hashes(two_files) == before


def test_an_untouched_file_is_not_read_again(two_files, monkeypatch):
    before = hashes(two_files)
    forbid_reading(monkeypatch)
    assert hashes(two_files) == before


def test_a_touched_file_is_read_again(two_files, monkeypatch):
    hashes(two_files)
    touch(two_files / "a.txt", 60)
    forbid_reading(monkeypatch)
    with pytest.raises(AssertionError, match="read again"):
        hashes(two_files)


def test_a_new_file_appears_among_the_hashes_and_a_removed_one_goes(two_files):
    before = hashes(two_files)
    (two_files / "c.txt").write_text("new", encoding="utf-8")
    assert hashes(two_files).keys() - before.keys() == {str(two_files / "c.txt")}
    (two_files / "c.txt").unlink()
    assert hashes(two_files) == before


def test_hashes_are_of_the_files_that_are_read_and_no_more(two_files, read):
    assert list(hashes(two_files, max_files=1)) == [
        row["source"] for row in read(two_files, max_files=1)
    ]


def test_without_a_place_for_the_cache_hashes_are_the_same(two_files, monkeypatch):
    before = hashes(two_files)
    blocked = two_files / "a.txt"  # a file, where a folder is wanted
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert hashes(two_files) == before


def test_a_damaged_cache_does_not_stop_a_plan(two_files):
    before = hashes(two_files)
    (content_hash.cache_folder() / "content.sqlite").write_bytes(b"this is no database" * 100)
    assert hashes(two_files) == before
