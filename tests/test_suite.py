"""What the suite runs is all that there is."""

import re
from pathlib import Path

TESTS = Path(__file__).parent


def test_journeys_lie_where_the_suite_looks_for_them() -> None:
    (named,) = re.findall(r"-m journey (tests.*)", (TESTS / "run.sh").read_text())
    folders = [TESTS.parent / name for name in named.split()]
    marked = [
        path for path in TESTS.rglob("test_*.py") if "pytest.mark.journey" in path.read_text()
    ]
    assert len(marked) > 10
    assert [path for path in marked if not any(map(path.is_relative_to, folders))] == [
        Path(__file__)  # it speaks of the mark
    ]
