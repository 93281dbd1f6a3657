"""Gates: what they hold a metric against, how they are judged, who is told."""

import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.gates import judge, notify
from pipelines.located import Mistake
from pipelines.nightly import GateSpec, MedianOfLast, NotifySpec, ScheduleSpec
from pipelines.plan import Plan
from pipelines.spool import Away

DAG = """\
pipeline: toy
stages:
  made: {uses: corpus.documents, with: {sources: [texts]}}
  upper: {uses: corpus.clean, needs: {documents: made}}
"""


def here(**values: Sequence[float]) -> object:
    return lambda stage, metric: values.get(stage, []) if metric == "loss" else []


def no_history(stage: str, metric: str, runs: int) -> Sequence[float]:
    raise AssertionError("the history was asked for")


def gate(against: float | str | MedianOfLast, **more: object) -> GateSpec:
    return GateSpec("scores", "loss", **{"direction": "lower", "against": against, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "spec", "passes", "says"),
    [
        (2.0, gate(2.0), True, "the same"),
        (2.1, gate(2.0), False, "worse by 0.1 (5.00%), none is allowed"),
        (2.1, gate(2.0, tolerance=0.05, relative=True), False, None),
        (2.1, gate(2.0, tolerance=0.06, relative=True), True, "worse by 0.1"),
        (2.1, gate(2.0, tolerance=0.2), True, "worse by 0.1"),
        (1.9, gate(2.0), True, "better by 0.1"),
        (1.9, gate(2.0, direction="higher"), False, "worse by 0.1"),
        (2.1, gate(2.0, direction="higher"), True, "better by 0.1"),
        (float("nan"), gate(2.0), False, "is not a number"),
        (-1.1, gate(-1.0, tolerance=0.05, relative=True, direction="higher"), False, "worse"),
        (-1.04, gate(-1.0, tolerance=0.05, relative=True, direction="higher"), True, "worse"),
        (0.1, gate(0.0), False, "worse by 0.1, none"),
    ],
)
def test_a_fixed_value(value: float, spec: GateSpec, passes: bool, says: str | None) -> None:
    if says is None:
        passes = 2.1 - 2.0 <= 0.05 * 2.0  # as floats have it
        says = "worse by 0.1"
    verdict = judge(spec, here(scores=[value]), no_history)  # type: ignore[arg-type]
    assert verdict.passed == passes
    assert says in verdict.told


def test_another_arm_of_the_same_run_and_the_mean_of_several_cells() -> None:
    values = here(**{"scores[arm=edited]": [1.0, 2.0], "scores[arm=baseline]": [1.4, 1.4]})
    spec = GateSpec("scores[arm=edited]", "loss", "lower", "scores[arm=baseline]")
    verdict = judge(spec, values, no_history)  # type: ignore[arg-type]
    assert (verdict.passed, verdict.value, verdict.reference) == (False, 1.5, 1.4)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=9), st.floats(0.1, 10))
def test_the_median_of_the_last_runs(earlier: list[float], value: float) -> None:
    spec = gate(MedianOfLast(len(earlier)))
    verdict = judge(spec, here(scores=[value]), lambda *_: earlier)  # type: ignore[arg-type]
    assert verdict.passed == (value <= sorted(earlier)[len(earlier) // 2]) or len(earlier) % 2 == 0
    assert f"last {len(earlier)} runs is" in verdict.told or "the last run has" in verdict.told


def test_without_an_earlier_run_a_gate_passes_and_says_so() -> None:
    verdict = judge(gate(MedianOfLast(7)), here(scores=[1.0]), lambda *_: [])  # type: ignore[arg-type]
    assert verdict.passed
    assert "no earlier run yet" in verdict.told


def test_what_nobody_could_look_at_did_not_pass() -> None:
    def away(*_: object) -> Sequence[float]:
        raise Away("connection refused")

    spec = gate(MedianOfLast(7))
    for values, history, says in (
        (here(scores=[1.0]), away, "connection refused"),
        (here(), no_history, "no such metric"),
    ):
        verdict = judge(spec, values, history)  # type: ignore[arg-type]
        assert not verdict.passed
        assert says in verdict.told
    verdict = judge(gate("other"), here(scores=[1.0]), no_history)  # type: ignore[arg-type]
    assert not verdict.passed
    assert "no other.loss" in verdict.told


# -- the file --------------------------------------------------------------------------------------


SECTIONS = """\
schedule: {cron: "0 2 * * *", timezone: Europe/Berlin, overlap: queue, catch_up: all,
           jitter: 10min, limit: 6h}
gates:
  - {stage: upper, metric: loss, direction: higher, against: median of last 7 runs, tolerance: 2%}
  - {stage: upper, metric: loss, against: 3}
  - {stage: upper, metric: loss, against: made}
notify: {webhook: "https://example.org/hook", command: [tell, me]}
"""


def test_the_sections_are_read(plan_of: Callable[[str], Plan]) -> None:
    found = plan_of(DAG + SECTIONS).nightly
    assert found.schedule == ScheduleSpec(
        "0 2 * * *", "Europe/Berlin", "queue", "all", 600.0, 21600.0
    )
    assert found.gates == (
        GateSpec("upper", "loss", "higher", MedianOfLast(7), 0.02, True),
        GateSpec("upper", "loss", "lower", 3.0),
        GateSpec("upper", "loss", "lower", "made"),
    )
    assert found.notify == NotifySpec("https://example.org/hook", ("tell", "me"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("schedule: nightly\n", "a mapping"),
        ("schedule: {timezone: UTC}\n", "crontab line"),
        ('schedule: {cron: "0 2 * *"}\n', "five fields"),
        ('schedule: {cron: "0 2 * * *", timezone: Mars}\n', "no time zone"),
        ('schedule: {cron: "0 2 * * *", overlap: never}\n', '"skip" or "queue" or "replace"'),
        ('schedule: {cron: "0 2 * * *", limit: long}\n', "a time such as"),
        ('schedule: {cron: "0 2 * * *", at: 2}\n', 'unknown key "at"'),
        ("gates: {stage: upper}\n", "a list of gates"),
        ("gates: [{stage: upper, against: 1}]\n", '"metric" is missing'),
        ("gates: [{stage: uper, metric: m, against: 1}]\n", 'unknown stage "uper"'),
        ("gates: [{stage: upper, metric: m, against: mean of all}]\n", "median of last N runs"),
        ("gates: [{stage: upper, metric: m, against: 1, tolerance: some}]\n", "2%"),
        ("gates: [{stage: upper, metric: m, against: 1, direction: up}]\n", '"lower" or "higher"'),
        ("notify: {webhook: me}\n", "http://"),
        ("notify: {command: tell me}\n", "a list"),
    ],
)
def test_mistakes_name_the_line_and_the_cure(
    mistakes_of: Callable[[str], list[Mistake]], text: str, says: str
) -> None:
    (mistake,) = mistakes_of(DAG + text)
    assert mistake.line == 5
    assert says in f"{mistake.problem} {mistake.cure}"


# -- who is told -----------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[tuple[str, list[bytes]]]:
    got: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    httpd = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}/hook", got
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_a_webhook_and_a_command_get_the_message(
    server: tuple[str, list[bytes]], tmp_path: Path
) -> None:
    url, got = server
    copy = "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())"
    command = (sys.executable, "-c", copy, str(tmp_path / "told"))
    assert notify(NotifySpec(url, command), {"text": "it failed"}) == []
    assert [json.loads(body) for body in got] == [{"text": "it failed"}]
    assert json.loads((tmp_path / "told").read_text()) == {"text": "it failed"}


def test_what_cannot_be_told_is_said_without_secrets_and_raises_nothing() -> None:
    spec = NotifySpec("http://u:hunter2hunter2@127.0.0.1:9/", ("/no/such/program",))
    problems = notify(spec, {})
    assert len(problems) == 2
    assert "hunter2hunter2" not in " ".join(problems)
