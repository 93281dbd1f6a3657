"""Files by URL for stages that pair them: found, hashed, read, told apart by their stems."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from stages.content_hash import local_hashes, remote_hashes
from stages.spoken_samples import SCHEME, spoken_file, spoken_files

AUDIO_ENDINGS = (".wav", ".flac", ".mp3", ".ogg", ".opus")


def find_files(urls: Sequence[str], endings: Sequence[str], what: str) -> dict[str, str]:
    """Address of each file that the URLs name -> hash of its content, sorted by address.

    A URL is a file, a folder (all files in it with one of the endings, at any depth), a glob, or a
    recording that comes with this project (`sample://speech`).

    Raises:
        FileNotFoundError: a URL names no such file.
        ValueError: a file has another ending, or a URL cannot be opened.
    """
    found: dict[str, str] = {}
    for url in urls:
        if url.startswith(SCHEME):
            sample = spoken_files(url, endings)
            if not sample:
                raise FileNotFoundError(f'"{url}" is no sample of {what}')
            hashes = local_hashes(list(sample.values()))
            found |= {address: hashes[path] for address, path in sample.items()}
            continue
        filesystem, pattern = _open(url)
        if any(sign in pattern for sign in "*?["):
            infos = filesystem.glob(pattern, detail=True)
        elif filesystem.isdir(pattern):
            infos = filesystem.find(pattern, detail=True)
            infos = {p: info for p, info in infos.items() if p.lower().endswith(tuple(endings))}
        else:
            exists = filesystem.exists(pattern)
            infos = {pattern: filesystem.info(pattern)} if exists else {}
        files = {p: info for p, info in sorted(infos.items()) if info["type"] == "file"}
        if not files:
            raise FileNotFoundError(
                f'"{url}" matches no file of {what}; endings are {", ".join(endings)}'
            )
        for path in files:
            if not path.lower().endswith(tuple(endings)):
                raise ValueError(
                    f'"{path}" is no file of {what}; endings are {", ".join(endings)}: '
                    "let the glob name one"
                )
        if _is_local(filesystem):
            hashes = local_hashes([Path(path) for path in files])
            # A relative URL has relative addresses: ids are the same in every checkout.
            relative = "://" not in url and not url.startswith(("/", "~"))
            for path, digest in hashes.items():
                found[os.path.relpath(path) if relative else str(path)] = digest
        else:
            for path, digest in remote_hashes(filesystem, files).items():
                found[str(filesystem.unstrip_protocol(path))] = digest
    return dict(sorted(found.items()))


def read_address(address: str) -> bytes:
    """The content of a file, wherever it lies."""
    if address.startswith(SCHEME):
        return spoken_file(address).read_bytes()
    filesystem, path = _open(address)
    return bytes(filesystem.cat_file(path))


def by_stem(addresses: Sequence[str], what: str) -> dict[str, str]:
    """Name of each file without folder and ending -> its address.

    Raises:
        ValueError: two files have one name.
    """
    found: dict[str, str] = {}
    for address in addresses:
        stem = PurePosixPath(address).stem
        if stem in found:
            raise ValueError(
                f'"{found[stem]}" and "{address}" are both the {what} of "{stem}": files are '
                "paired by their names without folder and ending"
            )
        found[stem] = address
    return found


def option_files(options: Mapping[str, Any]) -> Iterator[Path]:
    """The local files that settings name, those in folders too."""
    for value in options.values():
        path = Path(value).expanduser() if isinstance(value, str) and value else None
        if path is not None and path.is_file():
            yield path
        elif path is not None and path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.is_file())


def _open(url: str) -> tuple[Any, str]:
    import fsspec

    try:
        filesystem, path = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise ValueError(f'"{url}" cannot be opened: {error}') from error
    return filesystem, path


def _is_local(filesystem: Any) -> bool:
    protocol = filesystem.protocol
    return "file" in ((protocol,) if isinstance(protocol, str) else protocol)
