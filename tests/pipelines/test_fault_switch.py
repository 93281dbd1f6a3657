"""The fault switch: the same seed gives the same faults, and nothing strikes unasked."""

import pytest

from pipelines.faults import FaultInjected, Faults, active_faults, suffer


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch):
    def ask(text: str, seed: str = "0") -> Faults:
        monkeypatch.setenv("TOKENMILL_FAULTS", text)
        monkeypatch.setenv("TOKENMILL_FAULTS_SEED", seed)
        return active_faults()

    return ask


def strikes(faults: Faults, count: int = 2000) -> list[int]:
    return [n for n in range(count) if faults.strikes("raise", "task", n)]


def test_without_the_variable_nothing_strikes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOKENMILL_FAULTS", raising=False)
    assert not active_faults().probabilities
    suffer("task", attempt=0)


def test_the_same_seed_gives_the_same_faults_and_another_gives_others(asked) -> None:
    first = strikes(asked("raise=0.1"))
    assert first == strikes(asked("raise=0.1"))
    assert first != strikes(asked("raise=0.1", "1"))


@pytest.mark.parametrize("probability", [0.02, 0.1, 0.5])
def test_as_many_strike_as_asked_for(asked, probability: float) -> None:
    share = len(strikes(asked(f"raise={probability}"))) / 2000
    assert abs(share - probability) < 0.04


def test_certainty_always_strikes_and_impossibility_never(asked) -> None:
    assert len(strikes(asked("raise=1"))) == 2000
    assert strikes(asked("raise=0")) == []
    assert strikes(asked("slow=1")) == []


def test_a_retry_is_a_draw_of_its_own(asked) -> None:
    faults = asked("raise=0.5")
    assert len({faults.strikes("raise", "task", attempt) for attempt in range(20)}) == 2


def test_raise_raises_what_says_that_it_is_on_purpose(asked) -> None:
    asked("raise=1")
    with pytest.raises(FaultInjected, match="on purpose"):
        suffer("task", attempt=0)


@pytest.mark.parametrize(
    ("text", "seed", "said"),
    [
        ("explode=1", "0", 'no fault "explode"; there are kill_worker, raise, slow, tracker_down'),
        ("raise=2", "0", "from 0 to 1"),
        ("raise=often", "0", "from 0 to 1"),
        ("raise", "0", "from 0 to 1"),
        ("raise=0.1", "lucky", "whole number"),
    ],
)
def test_a_switch_that_makes_no_sense_says_what_would(asked, text, seed, said) -> None:
    with pytest.raises(ValueError, match=said):
        asked(text, seed)


def test_spaces_and_empty_items_are_fine(asked) -> None:
    assert asked(" raise = 0.5 , , slow=0 ").probabilities == {"raise": 0.5, "slow": 0.0}
