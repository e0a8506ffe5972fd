"""The URL of a store: its parts, its ``${NAME}`` from the environment, and its text without secrets."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from generator.errors import StoreError

SCHEMES = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "sqlite": "sqlite",
    "mongodb": "mongodb",
    "mongodb+srv": "mongodb",
    "s3": "parquet",
    "file": "parquet",
}
"""Scheme of a URL → kind of the store."""

HIDDEN = "***"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_SECRET = re.compile(
    r"password|passwd|secret|token|credential|passphrase|key\Z|\Aauthmechanismproperties\Z", re.IGNORECASE
)
_PROPERTY = re.compile(r"([A-Za-z_]+):([^,]*)")
_EXAMPLES = "postgresql://user:${PGPASSWORD}@host/database, sqlite:///runs.db, mongodb://host/database, s3://bucket/prefix, file:///folder"


@dataclass(frozen=True, slots=True)
class Address:
    """``url`` is for libraries alone and may hold a password; ``shown`` is what people, logs and stores may see."""

    kind: str
    shown: str
    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def path(self) -> str:
        return unquote(self.parts.path)

    @property
    def options(self) -> dict[str, str]:
        """What follows the question mark; of an option that is given twice, the last."""
        return dict(parse_qsl(self.parts.query, keep_blank_values=True))

    def redacted(self, text: str) -> str:
        """``text`` without this store's secrets, whoever wrote it."""
        if not self.secrets:
            return text
        # In one pass, longest first: one may be part of another, or of what stands for it.
        return re.sub("|".join(re.escape(secret) for secret in self.secrets), HIDDEN, text)


def parse(given: str, environment: Mapping[str, str] = os.environ) -> Address:
    """The store that ``given`` names. Raises StoreError for an unknown scheme, a variable that is not set, or no URL at all."""
    written, text, values = _filled(given, environment)
    _check_user(given, text)
    try:
        parts = urlsplit(text)
        password = parts.password or ""
        # Looked at now: a port that is no number is found only when asked for. MongoDB's URLs may list several hosts.
        _ = "," in parts.netloc or parts.port
    except ValueError as e:
        # The library's words may quote the whole authority, with the password in it.
        why = "no such port" if "ort" in str(e) else "host and port are malformed"
        raise StoreError(f"store {_outline(given)}: {why}; such as {_EXAMPLES}") from None
    if not parts.scheme or "://" not in text:
        raise StoreError(f"store {_outline(given)}: a URL is wanted, such as {_EXAMPLES}")
    if parts.scheme not in SCHEMES:
        near = difflib.get_close_matches(parts.scheme, SCHEMES, n=1)
        hint = f"nearest: {near[0]}" if near else f"there are: {', '.join(SCHEMES)}"
        raise StoreError(f"store {_outline(given)}: unknown scheme {parts.scheme!r}; {hint}")
    named = [value for name, value in parse_qsl(parts.query) if _SECRET.search(name)]
    # AWS_SESSION_TOKEN:… of MongoDB's authMechanismProperties, which may be quoted by itself.
    named += [value for whole in named for name, value in _PROPERTY.findall(whole) if _SECRET.search(name)]
    secrets = {*values, password, unquote(password), *named, *(quote(v, safe="") for v in (*values, *named))} - {""}
    ordered = tuple(sorted(secrets, key=lambda s: (-len(s), s)))
    return Address(SCHEMES[parts.scheme], _shown(urlsplit(written)), text, ordered)


def _filled(given: str, environment: Mapping[str, str]) -> tuple[str, str, list[str]]:
    """The URL as it was written, the same with each ``${NAME}`` replaced, and the values that may be secrets."""

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name not in environment:
            raise StoreError(f"store {_outline(given)}: the environment variable {name} is not set; export it first")
        return environment[name]

    written = given.strip()
    if whole := _VARIABLE.fullmatch(written):
        # The variable holds the whole URL: what is secret in it is found as in any other.
        written = value(whole).strip()
        return written, written, []
    scheme, there, rest = written.partition("://")
    authority, slash, tail = rest.partition("/")
    user, at, host = authority.rpartition("@")
    path, mark, query = tail.partition("?")
    secrets = [value(found) for found in _VARIABLE.finditer(user + query)]
    # A value may hold what separates the parts of a URL, so it is quoted; not in a host, which nobody would unquote.
    user, query = (_VARIABLE.sub(lambda found: quote(value(found), safe=""), part) for part in (user, query))
    path = _VARIABLE.sub(lambda found: quote(value(found), safe="/"), path)
    host = _VARIABLE.sub(value, host)
    return written, f"{scheme}{there}{user}{at}{host}{slash}{path}{mark}{query}", secrets


def _check_user(given: str, text: str) -> None:
    """Raises StoreError where libraries do not agree what the password is: what one of them takes for a host, another one would show."""
    scheme, _, rest = text.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if SCHEMES.get(scheme.lower()) not in ("postgresql", "mongodb"):
        return
    if authority.count("@") > 1 or rest.count("@") > authority.count("@"):
        raise StoreError(
            f"store {_outline(given)}: an @ that is not the one before the host; percent-encode the password (%40 %2F %3F %23), "
            "or take it from a variable, ${NAME}"
        )


def _outline(given: str) -> str:
    """As much of a URL as can be told before it is understood: whatever stands before an @, or after a question mark, is left out."""
    scheme, there, rest = given.strip().partition("://")
    if not there:
        return repr(scheme.rpartition("@")[2][:80])
    authority, slash, tail = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    host = authority.rpartition("@")
    if rest.count("@") > authority.count("@"):
        return repr(f"{scheme}://{HIDDEN}")
    return repr(f"{scheme}://{HIDDEN + '@' if host[1] else ''}{host[2]}{slash}{tail}"[:200])


def _shown(parts: SplitResult) -> str:
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    query = "&".join(f"{k}={HIDDEN if _SECRET.search(k) else v}" for k, v in pairs)
    authority = f"{name}{colon + HIDDEN if colon else ''}{at}{host}"
    return f"{parts.scheme}://{authority}{parts.path}{'?' + query if query else ''}"
