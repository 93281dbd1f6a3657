"""Secrets never reach the record, the logs or the manifests.

Three nets, each with its own grain. `without_secrets` looks at structure alone (passwords in URLs,
secret parameters of queries, fields that are named as secrets); it is part of the identity of a
stage, so that a rotated password recomputes nothing. `redact` also knows the values of secret
environment variables and the shapes of well-known credentials; everything that leaves this process
passes it.

In this field `token`, `tokens`, `tokenizer` and `key` are everyday words. No field is secret
because of them alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

MASK = "***"
SHORTEST = 8  # a shorter value of a secret variable would be found by chance in other text

_SECRET_FIELD = re.compile(
    r"(?:^|[_.-])(?:api[_-]?key|apikey|secret|secrets|password|passwd|passphrase|credentials?|"
    r"private[_-]?key|access[_-]?key|secret[_-]?key|access[_-]?key[_-]?id|auth[_-]?token|access[_-]?token|"
    r"refresh[_-]?token|session[_-]?token|bearer[_-]?token|hf[_-]?token|authorization|connection_string)$",
    re.IGNORECASE,
)
_SECRET_VARIABLE = re.compile(
    r"(?:TOKEN|SECRET|SECRETS|PASSWORD|PASSWD|PASSPHRASE|API_?KEY|ACCESS_?KEY|ACCESS_?KEY_?ID|"
    r"SECRET_?KEY|PRIVATE_?KEY|CREDENTIALS?)$",
    re.IGNORECASE,
)
_URL_USER = re.compile(r"(?P<scheme>\b[a-zA-Z][a-zA-Z0-9+.-]*://)(?P<user>[^\s/@:'\"]*)"
                       r"(?::(?P<password>[^\s/'\"]*))?@(?=[^\s@/'\"])")  # fmt: skip
_QUERY = re.compile(
    r"(?P<name>[?&;](?:[\w.-]*[_.-])?(?:token|access_token|auth|api_?key|apikey|key|sig|signature|"
    r"password|passwd|secret|credential|security-token|awsaccesskeyid)=)(?P<value>[^&\s#'\"]+)",
    re.IGNORECASE,
)
_SHAPES = re.compile(
    r"\bhf_[A-Za-z0-9]{20,}\b|\bgh[pousr]_[A-Za-z0-9]{30,}\b|\bgithub_pat_[A-Za-z0-9_]{30,}\b"
    r"|\bsk-[A-Za-z0-9_-]{20,}\b|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bxox[abprs]-[A-Za-z0-9-]{10,}\b"
    r"|\bglpat-[A-Za-z0-9_-]{20,}\b|\bAIza[A-Za-z0-9_-]{35}\b"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----",
    re.DOTALL,
)
_HEADER = re.compile(
    r"(?P<name>\bAuthorization[\"']?\s*[:=]\s*[\"']?(?:Basic|Bearer|Token)?\s*|\bBearer\s+)"
    r"(?P<value>[A-Za-z0-9._~+/=-]{8,})",
    re.IGNORECASE,
)


def without_secrets(value: Any) -> Any:
    """`value` without what is secret by its structure; the same where nothing is."""
    return _walk(value, _structural)


def redact(value: Any) -> Any:
    """`value` without any secret: nested mappings, lists and text."""
    secrets = _environment()
    return _walk(value, lambda text: _redact(text, secrets))


def redact_text(text: str) -> str:
    """`text` without any secret."""
    return _redact(text, _environment())


def _redact(text: str, secrets: tuple[str, ...]) -> str:
    text = _structural(text)
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, MASK)
    if len(text) < SHORTEST:
        return text
    text = _SHAPES.sub(MASK, text)
    return _HEADER.sub(lambda m: f"{m['name']}{MASK}", text)


def _walk(value: Any, change: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {
            _walk(name, change): MASK
            if inner and isinstance(inner, str | bytes | int) and _is_secret(name)
            else _walk(inner, change)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_walk(inner, change) for inner in value]
    if isinstance(value, tuple):
        return tuple(_walk(inner, change) for inner in value)
    return value


def _is_secret(name: Any) -> bool:
    return isinstance(name, str) and _SECRET_FIELD.search(name) is not None


def _structural(text: str) -> str:
    if "://" in text:
        text = _URL_USER.sub(_masked_user, text)
    if "=" in text:
        text = _QUERY.sub(lambda m: f"{m['name']}{MASK}", text)
    return text


def _masked_user(match: re.Match[str]) -> str:
    user = match["user"] if match["password"] is not None else ""
    secret = f"{user}:{MASK}" if match["password"] is not None else MASK
    return f"{match['scheme']}{secret}@"


def _environment() -> tuple[str, ...]:
    named = tuple(
        sorted((n, v) for n, v in os.environ.items() if _SECRET_VARIABLE.search(n) and v.strip())
    )
    return _secrets(named)


@lru_cache(maxsize=8)
def _secrets(variables: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    found = {
        value.strip()
        for _, value in variables
        if len(value.strip()) >= SHORTEST and not value.startswith(("/", "~", "./"))
    }
    return tuple(sorted(found, key=len, reverse=True))  # a longer one may hold a shorter one
