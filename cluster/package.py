"""What is shipped to a cluster: code and settings; never data, secrets or environments."""

from __future__ import annotations

import fnmatch
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

SUFFIXES = (".py", ".pyi", ".yaml", ".yml", ".toml", ".json", ".j2", ".cfg", ".ini")
MOST_BYTES = 2**20  # a file of settings is smaller; what is larger is data
MOST_FILES = 2000
FOLDERS = (
    ".*", "__pycache__", "venv", "env", "node_modules", "build", "dist", "mlruns", "mlartifacts",
    "*.egg-info",
)  # fmt: skip
SECRETS = (
    ".env*", "*.env", "*.pem", "*.key", "*.p12", "*.pfx", "id_rsa*", "id_ed25519*", ".netrc",
    ".pypirc", "*secret*", "*credential*", "*password*", "auth_token*", "*.token",
)  # fmt: skip


class TooMuch(ValueError):
    """A folder that holds more than a project."""


@dataclass
class Package:
    """Files to ship: path in the package -> where it lies here."""

    files: dict[str, Path] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)  # path -> why; what looks like code only

    @property
    def size(self) -> int:
        return sum(path.stat().st_size for path in self.files.values())

    def digest(self) -> str:
        """Hash of all paths and contents."""
        state = blake2b(digest_size=16)
        for name, path in sorted(self.files.items()):
            content = path.read_bytes()
            state.update(f"{len(name)} {name} {len(content)} ".encode() + content)
        return state.hexdigest()

    def write(self, folder: Path) -> None:
        """Copy the files into a folder."""
        for name, path in self.files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def package(project: Path, code: Sequence[Path], without: Sequence[Path] = ()) -> Package:
    """What a run of a project needs.

    Args:
        project: the user's folder; its code and settings go to `project/`. In a git repository,
            what git ignores is left out.
        code: folders of packages, which are shipped whole, under their names.
        without: folders inside the project that hold results; nothing of them is shipped.

    Raises:
        TooMuch: the folder holds too many files to be a project.
    """
    made = Package()
    for folder in code:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                made.files[f"{folder.name}/{path.relative_to(folder).as_posix()}"] = path
    own = {path.resolve() for path in made.files.values()}
    results = tuple(folder.resolve() for folder in without)
    for path in _files(project):
        if any(path.resolve().is_relative_to(folder) for folder in results):
            continue
        name = path.relative_to(project).as_posix()
        why = _why_not(path, name)
        if why:
            made.left_out[name] = why
        elif path.suffix in SUFFIXES and path.resolve() not in own:
            made.files[f"project/{name}"] = path
            if len(made.files) > MOST_FILES:
                raise TooMuch(
                    f"{project} holds more than {MOST_FILES} files of code; submit from the folder "
                    "of the project itself"
                )
    return made


def _why_not(path: Path, name: str) -> str:
    if any(fnmatch.fnmatch(path.name.lower(), pattern) for pattern in SECRETS):
        return "its name is that of a secret"
    if path.suffix in SUFFIXES and path.stat().st_size > MOST_BYTES:
        return f"it is larger than {MOST_BYTES // 2**20} MiB: data"
    return ""


def _files(project: Path) -> Iterator[Path]:
    listed = _known_to_git(project)
    if listed is not None:
        for path in listed:
            inner = path.relative_to(project).parts[:-1]
            if path.is_file() and not any(_is_left(part) for part in inner):
                yield path
        return
    for folder, folders, names in os.walk(project):
        folders[:] = sorted(inner for inner in folders if not _is_left(inner))
        yield from (Path(folder, name) for name in sorted(names))


def _is_left(folder: str) -> bool:
    return any(fnmatch.fnmatch(folder, pattern) for pattern in FOLDERS)


def _known_to_git(project: Path) -> list[Path] | None:
    """Files that git tracks or would track; None outside of a repository."""
    try:
        done = subprocess.run(
            ["git", "-C", str(project), "ls-files", "-co", "--exclude-standard", "-z", "."],
            capture_output=True, check=True, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return sorted(project / os.fsdecode(name) for name in done.stdout.split(b"\0") if name)
