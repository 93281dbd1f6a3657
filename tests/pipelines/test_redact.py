"""Secrets never leave; everyday words are never touched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.redact import redact, redact_text, without_secrets

SECRETS = [
    ("s3://key:VerySecret1@bucket/x", "VerySecret1"),
    ("https://user:p%40ss-word@host:5000/api", "p%40ss-word"),
    ("https://0123456789abcdef@host/x", "0123456789abcdef"),
    ("postgresql://mlflow:hunter2hunter2@db/mlflow", "hunter2hunter2"),
    ("https://host/x?token=abcdefgh&page=2", "abcdefgh"),
    ("https://host/x?a=1&api_key=k-123", "k-123"),
    ("https://host/x?X-Amz-Signature=deadbeef&X-Amz-Credential=AKIDX", "deadbeef"),
    ("https://host/x?X-Amz-Security-Token=tok123", "tok123"),
    ("https://account.blob.core/x?sv=1&sig=Zm9vYmFy", "Zm9vYmFy"),
    ("the token hf_abcdefghijklmnopqrstuvwx is", "hf_abcdefghijklmnopqrstuvwx"),
    ("ghp_0123456789abcdefghijABCDEFGHIJ0123", "ghp_0123456789abcdefghijABCDEFGHIJ0123"),
    ("github_pat_0123456789abcdefghijABCDEFGHIJ0123", "github_pat_0123456789"),
    ("key sk-abcdefghijklmnopqrstuvwx.", "sk-abcdefghijklmnopqrstuvwx"),
    ("AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    ("xoxb-123456789012-abcdef", "xoxb-123456789012-abcdef"),
    ("Authorization: Bearer abc.def.ghi-123", "abc.def.ghi-123"),
    ('{"Authorization": "Basic dXNlcjpwYXNzd29yZA=="}', "dXNlcjpwYXNzd29yZA"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----", "MIIEow"),
]

EVERYDAY = [
    "tokens", "a tokenizer of 4096 tokens", "tokens_per_step=4096", "end_of_text_token: <|endoftext|>",
    "key 2a44a04a1124d7c9ea0f5b7c8d9e0f11", "https://example.org/page?page=2&lang=de",
    "s3://bucket/prefix/part-00000.arrow", "file:///tmp/x", "http://127.0.0.1:5000/#/experiments/1",
    "mail someone@example.org today", "x = y @ z", "sqlite:////tmp/mlflow.db", "1e-3", "",
    "sk-learn and sk-image", "hf_transfer", "a/b@c/d", "the bearer of news", "task-based",
    "git@github.com:owner/name.git", "author = {Secret, A.}", "password", "Authorization", "key=value",
]  # fmt: skip


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_a_secret_is_masked_and_what_is_around_it_stays(text: str, secret: str) -> None:
    told = redact_text(text)
    assert secret not in told
    assert "***" in told


@pytest.mark.parametrize("text", EVERYDAY)
def test_everyday_text_is_not_touched(text: str) -> None:
    assert redact_text(text) == text


@given(st.text(alphabet=st.characters(blacklist_characters=":@?&;"), max_size=200))
def test_text_without_the_signs_of_a_secret_is_not_touched_or_masked_once(text: str) -> None:
    told = redact_text(text)
    assert redact_text(told) == told


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_masking_again_changes_nothing(text: str, secret: str) -> None:
    assert redact_text(redact_text(text)) == redact_text(text)


FIELDS = ["api_key", "apikey", "password", "db_password", "aws_secret_access_key", "secret",
          "hf_token", "auth_token", "access-token", "credentials", "private_key"]  # fmt: skip
PLAIN_FIELDS = ["token", "tokens", "tokenizer", "key", "keys", "tokens_per_step", "max_tokens",
                "end_of_text_token", "key_without_code", "secretary", "passwords_seen"]  # fmt: skip


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_that_is_named_as_a_secret_is_masked(name: str) -> None:
    assert redact({"with": [{name: "value"}]}) == {"with": [{name: "***"}]}
    assert without_secrets({name: "value"}) == {name: "***"}


@pytest.mark.parametrize("name", PLAIN_FIELDS)
def test_a_field_with_an_everyday_name_is_not(name: str) -> None:
    assert redact({name: "value", "n": 3}) == {name: "value", "n": 3}


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "DB_PASSWORD", "MY_SECRET"]
)
def test_the_value_of_a_secret_variable_is_masked_wherever_it_is(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "correct-horse-battery")
    value = {"error": "refused: correct-horse-battery!", "deep": [("correct-horse-battery", 1)]}
    assert redact(value) == {"error": "refused: ***!", "deep": [("***", 1)]}
    monkeypatch.delenv(name)
    assert redact(value) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [("HF_TOKEN", "short"), ("TOKENS", "correct-horse"), ("HOME", "correct-horse"),
     ("TOKENIZER", "correct-horse"), ("SSH_KEY_PATH", "correct-horse"), ("X_TOKEN", "/a/path/x")],
)  # fmt: skip
def test_other_variables_and_short_values_are_not_looked_for(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    assert redact_text(f"it says {value} here") == f"it says {value} here"


def test_the_longer_of_two_secrets_is_masked_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "secret-one")
    monkeypatch.setenv("B_TOKEN", "secret-one-and-more")
    assert redact_text("x secret-one-and-more y") == "x *** y"


def test_numbers_and_nothing_stay_what_they_are() -> None:
    value = {"a": 1, "b": None, "c": True, "d": 2.5, "e": (1, "x"), "f": b"bytes"}
    assert redact(value) == value
