"""Recordings that come with this project, under addresses such as `sample://speech/stories.ogg`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

SCHEME = "sample://"
SPOKEN = {"speech": "spoken_stories"}


def spoken_files(url: str, endings: Sequence[str]) -> dict[str, Path]:
    """Address of each file of a sample that has one of the endings -> where it lies.

    Raises:
        ValueError: there is no such sample.
    """
    wanted = url.rstrip("/")
    return {
        address: path
        for address, path in _all_files(url).items()
        if address.endswith(tuple(endings)) and wanted in (address, address.rpartition("/")[0])
    }


def spoken_file(address: str) -> Path:
    """Where the one file of an address lies.

    Raises:
        ValueError: there is no such sample.
        FileNotFoundError: the sample has no such file.
    """
    files = _all_files(address)
    if address not in files:
        raise FileNotFoundError(f'there is no "{address}"; there is: {", ".join(files)}')
    return files[address]


def _all_files(url: str) -> dict[str, Path]:
    name = url.removeprefix(SCHEME).strip("/").partition("/")[0]
    if name not in SPOKEN:
        raise ValueError(f'there is no spoken sample "{name}"; there is: {", ".join(SPOKEN)}')
    folder = Path(str(resources.files("stages") / SPOKEN[name]))
    # The address says nothing of this machine: ids are the same wherever the project is installed.
    return {f"{SCHEME}{name}/{path.name}": path for path in sorted(folder.iterdir())}
