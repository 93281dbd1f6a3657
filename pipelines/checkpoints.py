"""Work of a stage that outlives its task: saved while it runs, found when it is started again.

    STORE/checkpoints/TYPE/KEY/ATTEMPT/STEP-ID/...    the files of one checkpoint
    STORE/checkpoints/TYPE/KEY/ATTEMPT/STEP-ID.json   written last: now it is whole

Each attempt at a key saves into a folder of its own, so that two runs of the same stage at once
write and remove side by side; each reads what all have saved. What it goes on from it takes over
into its own folder first, so that nobody else can remove it meanwhile. The folder of an attempt
goes when the stage is committed, when another attempt has saved and its run is gone, or by
`tokenmill gc`.
"""

from __future__ import annotations

import json
import posixpath
import tempfile
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pipelines.leases import run_entries
from pipelines.store import Store

FOLDER = "checkpoints"
_MARK = ".json"


@dataclass(frozen=True)
class _Saved:
    """One checkpoint in the store: its step, and its folder."""

    step: int
    path: str

    @classmethod
    def of(cls, attempt: str, name: str) -> _Saved | None:
        step, _, rest = name.partition("-")
        if not (step.isdigit() and rest.endswith(_MARK)):
            return None
        return cls(int(step), posixpath.join(attempt, name.removesuffix(_MARK)))

    @property
    def mark(self) -> str:
        return self.path + _MARK


class StoredCheckpoints:
    """The checkpoints of one attempt at a key (`stages.contract.Checkpoints`)."""

    def __init__(
        self,
        store: Store,
        prefix: str,
        key: str,
        note: Callable[[str, int], None] = lambda what, step: None,
    ) -> None:
        """Prepare; nothing is read or written yet.

        Args:
            prefix: of the attempt, as `Store.new_attempt` gave it.
            key: the key in full; its beginning, which the prefix has, may be that of another one.
            note: told the step of each checkpoint that is there and cannot be used ("damaged"),
                and of the one that a stage goes on from ("resumed").
        """
        self._store = store
        self._prefix = prefix
        self._all = folder_of(prefix, key)
        self._own = posixpath.join(self._all, posixpath.basename(prefix))
        self._note = note
        self._fetched: tempfile.TemporaryDirectory[str] | None = None
        self._saved = False

    def save(self, step: int, folder: Path) -> None:
        """See `stages.contract.Checkpoints.save`."""
        if step < 0:
            raise ValueError(f"a checkpoint is of a step of 0 or more, not {step}")
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        if not found:
            raise ValueError(f"there is no file in {folder} to save as the checkpoint of {step}")
        saved = self._new(step)
        earlier = [one for one in self._in(self._own) if one.step == step]
        files = {}
        for path in found:
            name = path.relative_to(folder).as_posix()
            files[name] = self._store.files.take(path, posixpath.join(saved.path, name))
        self._finish(saved, files)
        for one in earlier:
            self._remove(one)
        if not self._saved:
            self._saved = True
            self._remove_abandoned()

    def latest(self) -> tuple[int, Path] | None:
        """See `stages.contract.Checkpoints.latest`."""
        everywhere = [
            saved
            for attempt in self._store.files.names(self._all)
            for saved in self._in(posixpath.join(self._all, attempt))
        ]
        # Of one step, what is our own needs no copy.
        everywhere.sort(key=lambda one: (one.step, one.path.startswith(f"{self._own}/")))
        for saved in reversed(everywhere):
            found = self._open(saved)
            if found is not None:
                self._note("resumed", saved.step)
                return saved.step, found
        return None

    def keep(self, steps: Iterable[int]) -> None:
        """See `stages.contract.Checkpoints.keep`."""
        kept = set(steps)
        for saved in self._in(self._own):
            if saved.step not in kept:
                self._remove(saved)

    def close(self) -> None:
        """Remove the local copy of what was fetched from a store that is away."""
        if self._fetched is not None:
            self._fetched.cleanup()
            self._fetched = None

    # -- inside -----------------------------------------------------------------------------------

    def _new(self, step: int) -> _Saved:
        return _Saved(step, posixpath.join(self._own, f"{step}-{uuid.uuid4().hex[:12]}"))

    def _in(self, attempt: str) -> list[_Saved]:
        found = (_Saved.of(attempt, name) for name in self._store.files.names(attempt))
        return sorted((one for one in found if one is not None), key=lambda one: one.step)

    def _finish(self, saved: _Saved, files: dict[str, str]) -> None:
        mark = {"step": saved.step, "files": files}
        self._store.files.overwrite(saved.mark, json.dumps(mark).encode())

    def _remove(self, saved: _Saved) -> None:
        self._store.files.remove(saved.mark)  # first: now it is none
        self._store.files.remove(saved.path)

    def _open(self, saved: _Saved) -> Path | None:
        """A local folder with the files of a checkpoint, which are as they were saved."""
        try:
            data = self._store.files.read(saved.mark)
            if data is None:
                return None
            files = json.loads(data)["files"]
            opened = self._linked if self._store.is_local else self._copied
            return opened(saved, files)
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            # Where its mark is gone, too, another run has finished the stage and removed it.
            if self._store.files.exists(saved.mark):
                self._note("damaged", saved.step)
            return None

    def _linked(self, saved: _Saved, files: dict[str, str]) -> Path:
        for name, checksum in files.items():
            found = self._store.files.checksum(posixpath.join(saved.path, name))
            _compare(name, found, checksum)
        if not saved.path.startswith(f"{self._own}/"):
            taken = self._new(saved.step)
            for name in files:
                self._store.files.copy(
                    posixpath.join(saved.path, name), posixpath.join(taken.path, name)
                )
            self._finish(taken, files)
            saved = taken
        return Path(self._store.files.full(saved.path))

    def _copied(self, saved: _Saved, files: dict[str, str]) -> Path:
        self.close()
        self._fetched = tempfile.TemporaryDirectory(prefix="tokenmill-checkpoint-")
        folder = Path(self._fetched.name)
        for name, checksum in files.items():
            found = self._store.files.fetch(posixpath.join(saved.path, name), folder / name)
            _compare(name, found, checksum)
        return folder

    def _remove_abandoned(self) -> None:
        """Remove what attempts have left whose runs are gone; ours are ahead of them."""
        for attempt in _others_that_died(self._store, self._all, self._prefix):
            self._store.files.remove(attempt)


def folder_of(prefix: str, key: str) -> str:
    """Where the attempts at a key keep their checkpoints."""
    return posixpath.join(FOLDER, prefix.split("/")[1], key)


def drop_checkpoints(store: Store, prefix: str, key: str) -> None:
    """The attempt was committed: remove its checkpoints, and those of runs that are gone."""
    folder = folder_of(prefix, key)
    if not store.files.names(folder):
        return
    for attempt in _others_that_died(store, folder, prefix):
        store.files.remove(attempt)
    store.files.remove(posixpath.join(folder, posixpath.basename(prefix)))
    store.files.prune(folder)


def attempts_with_checkpoints(store: Store) -> dict[str, tuple[int, str, str]]:
    """All folders of attempts: bytes, the prefix of the attempt, and the key that it is at."""
    sizes: dict[str, int] = {}
    for path, size in store.files.sizes(FOLDER).items():
        folder = posixpath.join(FOLDER, *path.split("/")[:3])
        sizes[folder] = sizes.get(folder, 0) + size
    return {
        folder: (size, attempt_of(folder), folder.split("/")[2]) for folder, size in sizes.items()
    }


def attempt_of(folder: str) -> str:
    """The prefix of the attempt whose checkpoints lie in a folder; a prefix is its own."""
    if not folder.startswith(f"{FOLDER}/"):
        return folder
    _, kind, key, attempt = folder.split("/")
    return posixpath.join("shards", kind, key[:12], attempt)


def _others_that_died(store: Store, folder: str, prefix: str) -> list[str]:
    alive = {
        posixpath.basename(attempt)
        for entry in run_entries(store, live=True)
        if entry.alive and prefix not in entry.attempts  # a run is at one attempt at a key
        for attempt in entry.attempts
    }
    alive.add(posixpath.basename(prefix))
    return [
        posixpath.join(folder, attempt)
        for attempt in store.files.names(folder)
        if attempt not in alive
    ]


def _compare(name: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise ValueError(f"{name} is not as it was saved")
