"""What a DAG file says of its nights: when it runs, and what must hold afterwards.

    schedule: {cron: "0 2 * * *", timezone: Europe/Berlin, overlap: skip, catch_up: latest,
               jitter: 10min, limit: 6h}
    gates:
      - {stage: "scores[arm=edited]", metric: bits_per_byte, direction: lower,
         against: median of last 7 runs, tolerance: 2%}
    notify: {webhook: "${HOOK:-}", command: [notify-send, tokenmill]}

None of it is part of any key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipelines.located import Where, nearest
from pipelines.sections import Sections

SCHEDULE_KEYS = ("cron", "timezone", "overlap", "catch_up", "jitter", "limit")
GATE_KEYS = ("stage", "metric", "direction", "against", "tolerance")
NOTIFY_KEYS = ("webhook", "command")
OVERLAPS = ("skip", "queue", "replace")
CATCH_UPS = ("latest", "none", "all")
DIRECTIONS = ("lower", "higher")

_MEDIAN = re.compile(r"median of (?:the )?last (\d+) runs?")
_REFERENCE = re.compile(r"[A-Za-z][\w-]*(\[[^\]]*\])?")
_TOLERANCE = re.compile(r"(\d+(?:\.\d+)?)\s*(%)?")


@dataclass(frozen=True)
class ScheduleSpec:
    """When a pipeline runs by itself. Durations in seconds."""

    cron: str
    timezone: str = "UTC"
    overlap: Literal["skip", "queue", "replace"] = "skip"
    catch_up: Literal["none", "latest", "all"] = "latest"
    jitter: float = 0.0
    limit: float | None = None


@dataclass(frozen=True)
class MedianOfLast:
    """The median of a metric over the last runs of the pipeline that finished."""

    runs: int

    def __str__(self) -> str:
        return f"the median of the last {self.runs} runs"


@dataclass(frozen=True)
class GateSpec:
    """A metric that must not be worse than something.

    Attributes:
        stage: a stage, or some of its cells: `scores[arm=edited]`; of several cells, the mean.
        against: a number, other cells of the same run, or the history.
        tolerance: by how much it may be worse; a share of what it is held against, if `relative`.
    """

    stage: str
    metric: str
    direction: Literal["lower", "higher"]
    against: float | str | MedianOfLast
    tolerance: float = 0.0
    relative: bool = False


@dataclass(frozen=True)
class NotifySpec:
    """Who hears of a gate that fails: an address that takes a POST, a program and its arguments."""

    webhook: str = ""
    command: tuple[str, ...] = ()


@dataclass(frozen=True)
class Nightly:
    """The three sections together."""

    schedule: ScheduleSpec | None = None
    gates: tuple[GateSpec, ...] = ()
    notify: NotifySpec = NotifySpec()


class NightReader(Sections):
    """Reads the sections; mistakes go to the located file."""

    def read(self, data: Mapping[str, Any], stages: Sequence[str]) -> Nightly:
        """Read what is there; `stages` are the names that a gate may speak of."""
        return Nightly(self._schedule(data), self._gates(data, stages), self._notify(data))

    def _schedule(self, data: Mapping[str, Any]) -> ScheduleSpec | None:
        if data.get("schedule") is None:
            return None
        here: Where = ("schedule",)
        given = data["schedule"]
        if not isinstance(given, dict):
            self.wrong(here, f"a mapping with the keys {', '.join(SCHEDULE_KEYS)}", given)
            return None
        self.only_known(given, here, SCHEDULE_KEYS)
        if not isinstance(given.get("cron"), str):
            self.wrong((*here, "cron") if "cron" in given else here,
                       'a mapping with a crontab line under "cron", such as "0 2 * * *"',
                       given.get("cron"))  # fmt: skip
            return None
        timezone = str(given.get("timezone", "UTC"))
        try:
            self._check_timetable(given["cron"], timezone)
        except ValueError as error:
            self.located.mistake((*here, "cron"), str(error), value=True)
            return None
        return ScheduleSpec(
            cron=given["cron"],
            timezone=timezone,
            overlap=self.choice(given, here, "overlap", OVERLAPS),  # type: ignore[arg-type]
            catch_up=self.choice(given, here, "catch_up", CATCH_UPS),  # type: ignore[arg-type]
            jitter=self.duration(given, here, "jitter") or 0.0,
            limit=self.duration(given, here, "limit"),
        )

    def _check_timetable(self, cron: str, timezone: str) -> None:
        from cluster.schedule import Timetable

        Timetable(cron, timezone)

    def _gates(self, data: Mapping[str, Any], stages: Sequence[str]) -> tuple[GateSpec, ...]:
        given = data.get("gates")
        if given is None:
            return ()
        if not isinstance(given, list):
            self.wrong(("gates",), "a list of gates", given)
            return ()
        gates = (self._gate(entry, ("gates", number), stages) for number, entry in enumerate(given))
        return tuple(gate for gate in gates if gate is not None)

    def _gate(self, given: Any, here: Where, stages: Sequence[str]) -> GateSpec | None:
        if not isinstance(given, dict):
            self.wrong(here, f"a mapping with the keys {', '.join(GATE_KEYS)}", given)
            return None
        before = len(self.located.mistakes)
        self.only_known(given, here, GATE_KEYS)
        for key in ("stage", "metric", "against"):
            if key not in given:
                self.located.mistake(here, f'the key "{key}" is missing', "a gate needs it")
        if len(self.located.mistakes) > before:
            return None
        self._stage(given["stage"], (*here, "stage"), stages)
        tolerance, relative = self._tolerance(given, here)
        return GateSpec(
            stage=str(given["stage"]),
            metric=str(given["metric"]),
            direction=self.choice(given, here, "direction", DIRECTIONS),  # type: ignore[arg-type]
            against=self._against(given["against"], (*here, "against"), stages),
            tolerance=tolerance,
            relative=relative,
        )

    def _stage(self, given: Any, here: Where, stages: Sequence[str]) -> None:
        if not isinstance(given, str) or not _REFERENCE.fullmatch(given):
            self.wrong(here, "a stage, or cells of one such as scores[arm=edited]", given)
            return
        name = given.partition("[")[0]
        if name not in stages:
            self.located.mistake(here, f'unknown stage "{name}"', nearest(name, stages))

    def _against(
        self, given: Any, here: Where, stages: Sequence[str]
    ) -> float | str | MedianOfLast:
        if isinstance(given, int | float) and not isinstance(given, bool):
            return float(given)
        match = _MEDIAN.fullmatch(given) if isinstance(given, str) else None
        if match is not None and int(match.group(1)) > 0:
            return MedianOfLast(int(match.group(1)))
        if isinstance(given, str) and given.partition("[")[0] in stages:
            return given
        self.wrong(here, 'a number, "median of last N runs", or cells of this run such as '
                   "scores[arm=baseline]", given)  # fmt: skip
        return 0.0

    def _tolerance(self, given: Mapping[str, Any], here: Where) -> tuple[float, bool]:
        raw = given.get("tolerance", 0)
        match = None if isinstance(raw, bool) else _TOLERANCE.fullmatch(str(raw))
        if match is None:
            self.wrong((*here, "tolerance"), "a number of 0 or more, or a share such as 2%", raw)
            return 0.0, False
        relative = match.group(2) is not None
        return float(match.group(1)) / (100 if relative else 1), relative

    def _notify(self, data: Mapping[str, Any]) -> NotifySpec:
        here: Where = ("notify",)
        given = self.mapping(data, (), "notify")
        self.only_known(given, here, NOTIFY_KEYS)
        webhook = given.get("webhook") or ""
        if webhook and not str(webhook).startswith(("http://", "https://")):
            self.wrong((*here, "webhook"), "an address that begins with http:// or https://",
                       webhook)  # fmt: skip
        command = given.get("command") or []
        if not isinstance(command, list) or not all(isinstance(part, str) for part in command):
            self.wrong((*here, "command"), "a list: a program and its arguments", command)
            command = []
        return NotifySpec(str(webhook), tuple(command))
