"""What is compiled is never older than the sources: callers, callees and the constants they read."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import operators.compiled
from operators.compiled import KEPT_FOLDERS, Sources

REPOSITORY = Path(__file__).resolve().parents[2]

CALLER = """
from operators.compiled import njit
from operators.parts.callee import twice


@njit(cache=True)
def answer(x):
    return twice(x)
"""
CALLEE = """
from operators.compiled import njit
from operators.parts import constants


@njit(cache=True, nogil=True)
def twice(x):
    return x * constants.FACTOR
"""
ASK = """
from operators.caller import answer
print(answer(21), sum(answer.stats.cache_hits.values()), answer.stats.cache_path)
"""


class Project:
    """A package `operators` of a caller, a callee, a constant and a module of something else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = folder / "code" / "operators"
        (self.package / "parts").mkdir(parents=True)
        shutil.copy(operators.compiled.__file__, self.package)
        self.write("__init__", "")
        self.write("parts/__init__", "")
        self.write("caller", CALLER)
        self.write("parts/callee", CALLEE)
        self.write("parts/constants", "FACTOR = 2\n")
        self.write("other", "FACTOR = 2\n")

    def write(self, module: str, text: str) -> None:
        (self.package / f"{module}.py").write_text(text)

    def digest(self) -> str:
        return Sources(self.package).digest

    def ask(self, program: str = ASK, **environment: str) -> list[str]:
        """The words that a process of its own prints: the answer, hits, where it is kept."""
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder / "home"),
                "PYTHONPATH": str(self.folder / "code"),
                "PYTHONDONTWRITEBYTECODE": "1",
                **environment,
            },
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def machine_code(self) -> set[Path]:
        return {path.relative_to(self.folder) for path in self.folder.rglob("*.nb[ic]")}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_caller_has_the_new_code_of_what_it_calls_and_of_the_constants_that_reads(
    project: Project,
) -> None:
    assert project.ask()[:2] == ["42", "0"]
    assert project.ask()[:2] == ["42", "1"]  # and what is unchanged is not compiled again
    project.write("parts/callee", CALLEE.replace("x *", "1000 + x *"))
    assert project.ask()[:2] == ["1042", "0"]
    project.write("parts/constants", "FACTOR = 3\n")
    assert project.ask()[:2] == ["1063", "0"]
    project.write("parts/callee", CALLEE)
    project.write("parts/constants", "FACTOR = 2\n")
    assert project.ask()[:2] == ["42", "1"]


@pytest.mark.parametrize(
    ("module", "changed", "then"),
    [
        ("parts/callee", CALLEE.replace("x *", "1000 + x *"), "1042"),
        ("parts/constants", "FACTOR = 3\n\n", "63"),
    ],
)
def test_a_change_while_a_process_runs_is_kept_under_neither_of_the_sources(
    project: Project, module: str, changed: str, then: str
) -> None:
    path = project.package / f"{module}.py"
    before = path.read_text()
    early = (
        "import operators.compiled\noperators.compiled._sources()\n"
        f"open({str(path)!r}, 'w').write({changed!r})\n"
    )
    assert project.ask(early + ASK)[0] == then
    assert project.machine_code() == set()
    project.write(module, before)
    assert project.ask()[:2] == ["42", "0"]


def test_the_digest_is_of_every_source_that_can_be_in_the_machine_code(project: Project) -> None:
    first = project.digest()
    seen = {first}
    for module in ("caller", "parts/callee", "parts/constants", "compiled"):
        path = project.package / f"{module}.py"
        text = path.read_text()
        path.write_text(f"{text}\n# changed\n")
        seen.add(project.digest())
        path.write_text(text)
    assert len(seen) == 5
    project.write("other", "FACTOR = 3\n")
    assert project.digest() == first


def test_every_kernel_of_this_project_is_among_the_sources() -> None:
    package = REPOSITORY / "operators"
    sources = Sources(package)
    compiling = [path for path in package.rglob("*.py") if "@njit" in path.read_text()]
    assert len(compiling) > 20
    assert all(sources.hold(str(path)) for path in [*compiling, package / "corpus/characters.py"])
    assert not sources.hold(str(package / "corpus" / "__init__.py"))


def test_it_lies_with_the_package_or_where_the_user_says_and_nowhere_else(
    project: Project,
) -> None:
    project.ask()
    assert project.machine_code()
    here = Path("code/operators/__pycache__") / f"kernels-{project.digest()}"
    assert all(path.is_relative_to(here) for path in project.machine_code())
    shutil.rmtree(project.package / "__pycache__")
    project.ask(NUMBA_CACHE_DIR=str(project.folder / "mine"))
    assert project.machine_code()
    mine = Path("mine") / f"kernels-{project.digest()}"
    assert all(path.is_relative_to(mine) for path in project.machine_code())


def test_a_copy_of_the_sources_elsewhere_and_of_another_time_compiles_nothing_anew(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shared = str(project.folder / "shared")
    assert project.ask(NUMBA_CACHE_DIR=shared)[:2] == ["42", "0"]
    copy = Project(tmp_path_factory.mktemp("copy"))
    for path in copy.package.rglob("*.py"):
        os.utime(path, (1e9, 1e9))
    assert copy.ask(NUMBA_CACHE_DIR=shared)[:2] == ["42", "1"]
    copy.write("parts/callee", CALLEE.replace("x *", "1000 + x *"))
    assert copy.ask(NUMBA_CACHE_DIR=shared)[:2] == ["1042", "0"]
    assert project.ask(NUMBA_CACHE_DIR=shared)[:2] == ["42", "1"]


def test_functions_of_one_name_and_text_in_modules_of_one_name_do_not_meet(
    project: Project,
) -> None:
    (project.package / "others").mkdir()
    project.write("others/__init__", "")
    project.write("others/callee", CALLEE.replace("x *", "1000 + x *"))
    project.write("others/caller", CALLER.replace("operators.parts", "operators.others"))
    program = f"{ASK}\nfrom operators.others.caller import answer\nprint(answer(21))"
    for hits in ("0", "1"):
        first, hit, *_, second = project.ask(program)
        assert (first, hit, second) == ("42", hits, "1042")


def test_where_the_package_cannot_be_written_it_lies_in_the_users_cache(project: Project) -> None:
    (project.package / "__pycache__").write_text("not a folder")
    assert project.ask(XDG_CACHE_HOME=str(project.folder / "cache"))[0] == "42"
    own = Path("cache/tokenmill") / f"kernels-{project.digest()}"
    assert project.machine_code()
    assert all(path.is_relative_to(own) for path in project.machine_code())


def test_where_nothing_can_be_written_each_process_compiles(project: Project) -> None:
    (project.folder / "file").write_text("not a folder")
    words = project.ask(NUMBA_CACHE_DIR=str(project.folder / "file"))
    assert words == ["42", "0", "None"]
    assert project.machine_code() == set()


def test_functions_of_others_are_kept_where_numba_keeps_them(project: Project) -> None:
    (project.folder / "code" / "theirs.py").write_text(
        "import numba\nimport operators.caller\n\n\n"
        "@numba.njit(cache=True)\ndef answer(x):\n    return x\n"
    )
    words = project.ask("from theirs import answer\nprint(answer(7), answer.stats.cache_path)")
    assert words == ["7", str(project.folder / "code" / "__pycache__")]


def test_the_folders_last_used_are_kept_and_no_more(project: Project) -> None:
    for age in range(KEPT_FOLDERS + 3):
        old = project.folder / "mine" / f"kernels-{age}"
        old.mkdir(parents=True)
        os.utime(old, (1e9 - age, 1e9 - age))
    (project.folder / "mine" / "theirs").mkdir()
    project.ask(NUMBA_CACHE_DIR=str(project.folder / "mine"))
    left = {path.name for path in (project.folder / "mine").iterdir()}
    recent = {f"kernels-{age}" for age in range(KEPT_FOLDERS - 1)}
    assert left == {"theirs", f"kernels-{project.digest()}"} | recent
