"""The store: committed once and last, found by content, whole or not there at all."""

import json
import tempfile
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.dataset
import pyarrow.ipc
import pytest

from pipelines.content import rows_hash
from pipelines.files import StoreError
from pipelines.store import Manifest, Part, Store
from stages.kinds import DOCUMENTS, SCHEMAS, Kind

SCHEMA = [(field.name, str(field.type)) for field in DOCUMENTS]
MADE_BY = {"stage": "a", "output": "documents", "time": "2024-05-06T07:08:09Z"}


def rows(*texts: str, start: int = 0) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {"id": f"d{start + n}", "text": text, "language": "eng_Latn", "source": "s",
             "group": None, "edits": []}
            for n, text in enumerate(texts)
        ],
        DOCUMENTS,
    )  # fmt: skip


def put(store: Store, *shards: pa.Table, key: str = "0123456789abcdef", **more: Any) -> Manifest:
    """Write the shards under an attempt of their own and commit them."""
    location = f"{store.new_attempt('toy.make', key)}/documents"
    parts = [store.write_rows(location, n, Kind.DOCUMENTS, table) for n, table in enumerate(shards)]
    return store.commit(Kind.DOCUMENTS, location, SCHEMA, parts, {**MADE_BY, **more})


def files(store: Store) -> set[str]:
    found = store.files.filesystem.find(store.files.root)
    return {str(path).removeprefix(store.files.root).lstrip("/") for path in found}


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    # What is fetched from a store that is away goes with the test.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if request.param == "local":
        return Store(str(tmp_path / "store"))
    if request.param == "s3":
        return Store(f"{request.getfixturevalue('s3_url')}/deep/store")
    return Store(f"memory://tokenmill-{uuid.uuid4().hex}/deep/store")


@pytest.fixture
def tamper(store: Store) -> Callable[[Manifest, int, Callable[[bytes], bytes]], None]:
    """Change the bytes of a part behind the store's back."""

    def changed(manifest: Manifest, index: int, change: Callable[[bytes], bytes]) -> None:
        path = f"{store.files.root}/{manifest.location}/{manifest.parts[index].path}"
        data = change(store.files.filesystem.cat_file(path))
        store.files.filesystem.rm(path)
        store.files.filesystem.pipe_file(path, data)

    return changed


# -- rows ------------------------------------------------------------------------------------------


def test_what_was_written_is_read(store: Store) -> None:
    one, two = rows("a", "é"), rows("", start=2)
    manifest = put(store, one, two)
    assert store.table(manifest).equals(pa.concat_tables([one, two]))
    assert pa.Table.from_batches(store.batches(manifest)).equals(store.table(manifest))
    assert store.read_part(manifest, 1).equals(two)
    assert (manifest.rows, [part.rows for part in manifest.parts]) == (3, [2, 1])
    assert manifest.size == sum(part.bytes for part in manifest.parts) > 0


def test_a_manifest_survives_json(store: Store) -> None:
    manifest = put(store, rows("a"), rows("b"))
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert store.manifest(manifest.digest) == manifest
    document = json.loads(manifest.to_json())
    assert (document["rows"], document["bytes"]) == (2, manifest.size)


def test_shards_are_plain_arrow_files_that_other_programs_read(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    manifest = put(store, rows("a", "b"), rows("c", start=2))
    folder = store.address(manifest.location)
    assert pyarrow.dataset.dataset(folder, format="ipc").count_rows() == 3
    assert [part.path for part in manifest.parts] == ["part-00000.arrow", "part-00001.arrow"]


def test_an_artifact_without_rows_opens(store: Store) -> None:
    manifest = put(store, DOCUMENTS.empty_table())
    assert manifest.rows == 0
    assert store.table(manifest).schema.equals(DOCUMENTS)
    assert not store.faults(manifest, contents=True)


def test_columns_of_its_own_stay_with_the_rows(store: Store) -> None:
    more = rows("a").append_column("score", pa.array([0.5]))
    location = "shards/x"
    part = store.write_rows(location, 0, Kind.DOCUMENTS, more)
    manifest = store.commit(
        Kind.DOCUMENTS, location, [*SCHEMA, ("score", "double")], [part], MADE_BY
    )
    assert store.table(manifest).column("score").to_pylist() == [0.5]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (rows("a").drop_columns(["text"]),
         r'these rows are no documents: column "text" \(string\) is missing'),
        (rows("a").set_column(1, "text", pa.array([1])),
         'these rows are no documents: column "text" is int64, and should be string'),
        (rows("a").drop_columns(["text", "id"]), 'column "id" .* is missing; column "text"'),
    ],
)  # fmt: skip
def test_rows_of_another_schema_are_refused_and_leave_nothing(
    store: Store, table: pa.Table, message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        store.write_rows("shards/x", 0, Kind.DOCUMENTS, table)
    assert files(store) == set()


# -- committed last, and once ----------------------------------------------------------------------


def test_an_artifact_is_there_when_its_manifest_is_and_not_before(store: Store) -> None:
    location = f"{store.new_attempt('toy.make', 'k')}/documents"
    part = store.write_rows(location, 0, Kind.DOCUMENTS, rows("a"))
    assert store.artifacts() == []
    manifest = store.commit(Kind.DOCUMENTS, location, SCHEMA, [part], MADE_BY)
    assert store.artifacts() == [manifest]
    assert store.find(manifest.digest[:6]) == [manifest]
    assert store.find("not-hex") == []


def test_attempts_at_one_key_never_share_a_prefix(store: Store) -> None:
    attempts = {store.new_attempt("toy:Make", "key") for _ in range(20)}
    assert len(attempts) == 20
    assert all(":" not in attempt for attempt in attempts)


def test_committing_the_same_content_again_keeps_the_first_and_removes_the_new_shards(
    store: Store,
) -> None:
    first = put(store, rows("a"), rows("b"), run="first")
    before = files(store)
    second = put(store, rows("a"), rows("b"), run="second")
    assert second == first
    assert second.made_by["run"] == "first"
    assert files(store) == before
    assert not store.faults(first, contents=True)


def test_committing_one_attempt_twice_does_not_remove_its_shards(store: Store) -> None:
    location = "shards/x/documents"
    part = store.write_rows(location, 0, Kind.DOCUMENTS, rows("a"))
    first = store.commit(Kind.DOCUMENTS, location, SCHEMA, [part], MADE_BY)
    assert store.commit(Kind.DOCUMENTS, location, SCHEMA, [part], MADE_BY) == first
    assert store.faults(first) == []


def test_other_content_is_another_artifact(store: Store) -> None:
    variants = [
        put(store, rows("a"), rows("b")),
        put(store, rows("b"), rows("a")),
        put(store, rows("a")),
        put(store, rows("a", "b")),
        put(store, rows("a"), rows("b", start=1)),
    ]
    assert (
        len({manifest.digest for manifest in variants}) == len(variants) == len(store.artifacts())
    )
    assert not any(store.faults(manifest, contents=True) for manifest in variants)


def test_the_digest_does_not_depend_on_file_names_compression_place_or_maker(
    store: Store, tmp_path: Path
) -> None:
    expected = put(store, rows("a", "b"), rows("c", start=2)).digest
    other = Store(str(tmp_path / "elsewhere"))
    parts = [
        other.write_rows("shards/y", number, Kind.DOCUMENTS, table)
        for number, table in ((7, rows("a", "b")), (3, rows("c", start=2)))
    ]
    made = other.commit(Kind.DOCUMENTS, "shards/y", SCHEMA, parts, {"stage": "z"})
    assert [part.path for part in made.parts] == ["part-00007.arrow", "part-00003.arrow"]
    assert made.digest == expected


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_a_shard_that_was_compressed_afterwards_has_the_same_content(
    store: Store, compression: str | None
) -> None:
    manifest = put(store, rows("a" * 1000, "b" * 1000))
    path = f"{store.files.root}/{manifest.location}/{manifest.parts[0].path}"
    table = store.table(manifest)
    table = pa.Table.from_pylist(table.to_pylist(), table.schema)  # lets go of the file
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with (
        store.files.filesystem.open(path, "wb") as file,
        pa.ipc.new_file(file, table.schema, options=options) as writer,
    ):
        writer.write_table(table)
    part = manifest.parts[0]
    repacked = Part(part.path, part.rows, int(store.files.filesystem.size(path)), part.hash)
    again = store.commit(Kind.DOCUMENTS, "shards/z", SCHEMA, [repacked], MADE_BY)
    assert again.digest == manifest.digest
    with store.files.filesystem.open(path, "rb") as file:
        assert rows_hash(pa.ipc.open_file(file).read_all()) == part.hash


def test_many_threads_that_commit_the_same_artifact_all_end_well(store: Store) -> None:
    together = threading.Barrier(8)

    def commit(number: int) -> Manifest:
        location = f"{store.new_attempt('toy.make', 'k')}/documents"
        part = store.write_rows(location, 0, Kind.DOCUMENTS, rows("a"))
        together.wait(timeout=10)
        return store.commit(Kind.DOCUMENTS, location, SCHEMA, [part], {**MADE_BY, "run": number})

    with ThreadPoolExecutor(8) as pool:
        manifests = list(pool.map(commit, range(8)))
    assert all(manifest == manifests[0] for manifest in manifests)
    assert store.artifacts() == [manifests[0]]
    assert store.faults(manifests[0], contents=True) == []
    # The shards of the others are gone, and no temporary file is left.
    assert len(files(store)) == 2


def test_threads_that_record_the_same_result_leave_one_whole_record(store: Store) -> None:
    manifest = put(store, rows("a"))
    together = threading.Barrier(8)

    def record(number: int) -> None:
        together.wait(timeout=10)
        store.put_result("key", {"outputs": {"documents": manifest.digest}, "run": number}, ["p/x"])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(record, range(8)))
    found = store.result("key")
    assert found is not None
    assert found["run"] in range(8)
    assert store.pointed("p/x") == "key"


# -- moved, torn, tampered with --------------------------------------------------------------------


def test_a_store_that_was_moved_reads_as_before(tmp_path: Path) -> None:
    old = Store(str(tmp_path / "old"))
    manifest = put(old, rows("a"), rows("b"))
    old.put_result("key", {"outputs": {"documents": manifest.digest}}, ["stages/p/a"])
    (tmp_path / "deep").mkdir()
    (tmp_path / "old").rename(tmp_path / "deep" / "new")
    new = Store(str(tmp_path / "deep" / "new"))
    assert new.artifacts() == [manifest]
    assert new.table(manifest).column("text").to_pylist() == ["a", "b"]
    assert new.faults(manifest, contents=True) == []
    assert new.result("key") == {"outputs": {"documents": manifest.digest}}
    assert new.pointed("stages/p/a") == "key"
    for path in (tmp_path / "deep" / "new").rglob("*"):
        if path.is_file():
            assert str(tmp_path).encode() not in path.read_bytes()


def test_a_relative_store_does_not_move_with_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Store("here")
    manifest = put(store, rows("a"))
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert store.table(manifest).num_rows == 1


TEARS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("truncated", lambda data: data[: len(data) // 2]),
    ("emptied", lambda data: b""),
    ("lengthened", lambda data: data + b"\0"),
]


@pytest.mark.parametrize(("name", "change"), TEARS, ids=[name for name, _ in TEARS])
def test_a_shard_of_another_size_is_found_and_the_result_is_gone(
    store: Store, tamper: Any, name: str, change: Callable[[bytes], bytes]
) -> None:
    manifest = put(store, rows("a"), rows("b"))
    store.put_result("key", {"outputs": {"documents": manifest.digest}}, [])
    assert store.result("key") is not None
    tamper(manifest, 1, change)
    (fault,) = store.faults(manifest)
    size = len(change(b"x" * manifest.parts[1].bytes))
    path = store.address(manifest.location, "part-00001.arrow")
    assert fault == f"{path} has {size} bytes instead of {manifest.parts[1].bytes}"
    assert store.result("key") is None


def test_a_shard_that_was_deleted_is_found_and_the_result_is_gone(store: Store) -> None:
    manifest = put(store, rows("a"), rows("b"))
    store.put_result("key", {"outputs": {"documents": manifest.digest}}, [])
    store.files.filesystem.rm(f"{store.files.root}/{manifest.location}/part-00000.arrow")
    path = store.address(manifest.location, "part-00000.arrow")
    assert store.faults(manifest) == [f"{path} is gone"]
    assert store.result("key") is None
    store.remove(manifest.location)
    assert len(store.faults(manifest)) == 2
    assert store.result("key") is None


def test_a_result_whose_manifest_is_gone_is_gone(store: Store) -> None:
    manifest = put(store, rows("a"))
    store.put_result("key", {"outputs": {"documents": manifest.digest}}, [])
    store.files.filesystem.rm(f"{store.files.root}/artifacts/{manifest.digest}", recursive=True)
    assert store.result("key") is None
    with pytest.raises(StoreError, match=f"there is no artifact {manifest.digest} in"):
        store.manifest(manifest.digest)


def test_reading_a_torn_shard_says_which_and_what_to_do(store: Store, tamper: Any) -> None:
    manifest = put(store, rows("a"))
    tamper(manifest, 0, lambda data: data[:40])
    with pytest.raises(StoreError, match=r"part-00000\.arrow of artifact .* run again"):
        store.table(manifest)


def test_content_that_was_changed_is_found_only_where_contents_are_read(
    store: Store, tamper: Any
) -> None:
    manifest = put(store, rows("original"), rows("b"))
    tamper(manifest, 0, lambda data: data.replace(b"original", b"0riginal"))
    assert store.faults(manifest) == []
    assert store.faults(manifest, contents=True) == [
        f"{store.address(manifest.location, 'part-00000.arrow')} has other content than was written"
    ]


def test_committing_again_over_torn_shards_repairs_the_artifact(store: Store) -> None:
    manifest = put(store, rows("a"), run="first")
    store.put_result("key", {"outputs": {"documents": manifest.digest}}, [])
    store.files.filesystem.rm(f"{store.files.root}/{manifest.location}/part-00000.arrow")
    repaired = put(store, rows("a"), run="second")
    assert repaired.digest == manifest.digest
    assert store.manifest(manifest.digest) == repaired
    assert store.faults(repaired, contents=True) == []
    assert store.result("key") is not None


def test_committing_again_over_changed_shards_repairs_the_artifact(
    store: Store, tamper: Any
) -> None:
    manifest = put(store, rows("original"))
    tamper(manifest, 0, lambda data: data.replace(b"original", b"0riginal"))
    put(store, rows("original"))
    standing = store.manifest(manifest.digest)
    assert store.faults(standing, contents=True) == []
    assert store.table(standing).column("text").to_pylist() == ["original"]


def test_removing_what_is_not_there_is_no_error(store: Store) -> None:
    store.remove("shards/nothing")


# -- results ---------------------------------------------------------------------------------------


def test_a_result_is_recorded_once_and_pointers_follow(store: Store) -> None:
    one, two = put(store, rows("a")), put(store, rows("b"))
    record = {"outputs": {"documents": one.digest}, "run": 1}
    store.put_result("k1", record, ["stages/p/a"])
    store.put_result("k1", {"outputs": {"documents": two.digest}, "run": 2}, ["stages/p/a"])
    assert store.result("k1") == record
    store.put_result("k2", record, ["stages/p/a"])
    assert store.pointed("stages/p/a") == "k2"
    store.point("stages/p/a", "k1")
    assert store.pointed("stages/p/a") == "k1"
    assert store.pointed("stages/p/nothing") is None
    assert store.result("nothing") is None


def test_a_result_without_its_artifacts_gives_way_to_a_new_one(store: Store) -> None:
    one, two = put(store, rows("a")), put(store, rows("b"))
    store.put_result("k", {"outputs": {"documents": one.digest}}, [])
    store.remove(one.location)
    store.put_result("k", {"outputs": {"documents": two.digest}}, [])
    assert store.result("k") == {"outputs": {"documents": two.digest}}


# -- files -----------------------------------------------------------------------------------------


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "config.json").write_text('{"a": 1}')
    (folder / "deep" / "weights.bin").write_bytes(bytes(range(256)) * 20)
    (folder / "empty").write_bytes(b"")
    return folder


def put_files(store: Store, folder: Path) -> Manifest:
    location = f"{store.new_attempt('toy.train', 'k')}/model"
    parts = store.write_files(location, folder)
    return store.commit(Kind.MODEL, location, [], parts, MADE_BY)


def contents(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_the_files_of_a_model_come_back_as_they_were(store: Store, model_folder: Path) -> None:
    manifest = put_files(store, model_folder)
    assert [part.path for part in manifest.parts] == ["config.json", "deep/weights.bin", "empty"]
    for _ in range(2):  # fetched, then found
        assert contents(store.folder(manifest)) == contents(model_folder)
    assert (manifest.rows, store.faults(manifest, contents=True)) == (0, [])


def test_the_names_of_files_are_part_of_a_model(store: Store, model_folder: Path) -> None:
    first = put_files(store, model_folder)
    assert put_files(store, model_folder) == first
    (model_folder / "config.json").rename(model_folder / "config2.json")
    assert put_files(store, model_folder).digest != first.digest


def test_a_model_that_was_changed_in_the_store_is_found(
    store: Store, model_folder: Path, tamper: Any
) -> None:
    (model_folder / "config.json").write_text(json.dumps({"unique": uuid.uuid4().hex}))
    manifest = put_files(store, model_folder)
    store.folder(manifest)
    tamper(manifest, 1, lambda data: b"\xff" + data[1:])
    assert store.faults(manifest, contents=True) == [
        f"{store.address(manifest.location, 'deep/weights.bin')} has other content than was written"
    ]


# -- addresses -------------------------------------------------------------------------------------


def test_an_address_is_a_plain_path_only_where_the_store_is_local(tmp_path: Path) -> None:
    local = Store(f"file://{tmp_path}/store")
    assert local.address("a", "b") == str(tmp_path / "store" / "a" / "b")
    assert Store("memory://x/y").address("a").startswith("memory://")
    with fsspec.open(Store("memory://x/y").address("a"), "wb") as file:
        file.write(b"1")
    assert fsspec.filesystem("memory").cat_file("/x/y/a") == b"1"


def test_every_kind_of_rows_has_a_schema_that_opens_empty(store: Store) -> None:
    for number, (kind, schema) in enumerate(SCHEMAS.items()):
        part = store.write_rows(f"shards/{number}", 0, kind, schema.empty_table())
        fields = [(f.name, str(f.type)) for f in schema]
        manifest = store.commit(kind, f"shards/{number}", fields, [part], MADE_BY)
        assert store.table(manifest).schema.equals(schema)
    assert len(store.artifacts()) == len(SCHEMAS)
