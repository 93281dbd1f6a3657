"""verify: every byte that is not as it was written is found, and named."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_project import CHAIN, Project, states

from pipelines.cli import cli
from pipelines.identity import FORMAT
from pipelines.store import Store
from pipelines.upkeep import broken_results, verify

MODEL = CHAIN + "  model: {uses: toy_words:Folder, needs: {documents: made}}\n"


@pytest.fixture
def project(tmp_path: Path, own_modules_are_forgotten: Callable[[], None]) -> Project:
    return Project(tmp_path, own_modules_are_forgotten)


def faults(store: Store) -> list[str]:
    verdicts = verify(store, store.artifacts(), lambda _: None)
    return [fault for verdict in verdicts for fault in verdict.faults]


def test_a_store_as_it_was_written_has_no_fault(project: Project) -> None:
    project.run(MODEL)
    assert faults(project.store) == []
    assert broken_results(project.store) == {}


def test_any_flipped_bit_of_any_file_is_found(project: Project) -> None:
    project.run(MODEL)
    paths = sorted(p for p in (project.store_folder / "shards").rglob("*") if p.is_file())
    assert len(paths) >= 8

    @settings(max_examples=60, deadline=None)
    @given(st.sampled_from(paths), st.floats(0, 1, exclude_max=True), st.integers(0, 7))
    def flipped(path: Path, where: float, bit: int) -> None:
        good = path.read_bytes()
        bad = bytearray(good)
        bad[int(where * len(bad))] ^= 1 << bit
        path.write_bytes(bytes(bad))
        try:
            assert faults(project.store) == [f"{path} has other content than was written"]
        finally:
            path.write_bytes(good)

    flipped()


def test_what_another_version_wrote_is_not_called_changed(project: Project) -> None:
    project.run(MODEL)
    for path in (project.store_folder / "artifacts").rglob("manifest.json"):
        text = path.read_text()
        assert f'"format": {FORMAT}' in text
        path.write_text(text.replace(f'"format": {FORMAT}', f'"format": {FORMAT - 1}'))
    found = faults(project.store)
    assert found
    assert all("was written by another version of tokenmill" in fault for fault in found)
    assert not any("has other content than was written" in fault for fault in found)


@pytest.mark.parametrize("change", ["gone", "shorter", "longer"])
def test_a_file_that_is_gone_or_of_another_size_is_found(project: Project, change: str) -> None:
    project.run(MODEL)
    path = next(iter(sorted((project.store_folder / "shards").rglob("*.arrow"))))
    data = path.read_bytes()
    if change == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-1] if change == "shorter" else data + b"x")
    (fault,) = faults(project.store)
    assert fault.startswith(f"{path} {'is gone' if change == 'gone' else 'has'}")


def test_a_manifest_that_was_changed_is_found(project: Project) -> None:
    done = project.run(MODEL)
    path = project.store_folder / "artifacts" / str(done["upper"].digest) / "manifest.json"
    other = done["upper"].outputs["documents"].parts[0].hash
    path.write_text(path.read_text().replace(other, "0" * 32))
    assert any("its manifest was changed" in fault for fault in faults(project.store))


def test_a_result_whose_artifact_is_gone_is_told(project: Project) -> None:
    done = project.run()
    digest = str(done["upper"].digest)
    project.store.files.remove(f"artifacts/{digest}")
    assert broken_results(project.store) == {done["upper"].key: [digest]}


def test_the_command_names_artifact_maker_and_file_and_takes_it_out_of_use(
    project: Project,
) -> None:
    done = project.run()
    path = sorted((project.store_folder / "shards" / "toy_words.Upper").rglob("*.arrow"))[1]
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(bytes(data))
    told = CliRunner().invoke(cli, ["verify", "--keep", "--store", str(project.store_folder)])
    assert told.exit_code == 1
    assert f"{done['upper'].digest} (upper.documents): {path} has other content" in told.stdout
    assert states(project.run())["upper"] == "reused"
    told = CliRunner().invoke(cli, ["verify", "--store", str(project.store_folder)])
    assert told.exit_code == 1
    assert "out of use now" in told.stdout
    assert states(project.run()) == {"made": "reused", "upper": "computed", "sorted": "reused"}
    told = CliRunner().invoke(cli, ["verify", "--store", str(project.store_folder)])
    assert (told.exit_code, "0 with faults" in told.stdout) == (0, True)


def test_one_artifact_can_be_verified_by_name(project: Project) -> None:
    project.run()
    told = CliRunner().invoke(cli, ["verify", "upper", "--store", str(project.store_folder)])
    assert told.exit_code == 0
    assert told.stdout.startswith("1 artifacts")
