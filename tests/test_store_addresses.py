"""URLs of stores: what each part says, variables of the environment, and that no secret is ever shown."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from console.stores import address
from generator.errors import StoreError

ENVIRONMENT = {
    "PGPASSWORD": "p@ss/w:rd?#%",
    "HOST": "db.example:5433",
    "DB": "runs",
    "WHOLE": "mongodb://u:topsecret@h/db",
}


@pytest.mark.parametrize(
    ("given", "kind", "shown"),
    [
        ("postgresql://u:secret@h:5432/db", "postgresql", "postgresql://u:***@h:5432/db"),
        (
            "postgres://h/db?sslpassword=x&sslmode=require",
            "postgresql",
            "postgres://h/db?sslpassword=***&sslmode=require",
        ),
        ("postgresql://u:${PGPASSWORD}@h/db", "postgresql", "postgresql://u:***@h/db"),
        ("postgresql://${HOST}/${DB}", "postgresql", "postgresql://${HOST}/${DB}"),
        ("sqlite:///runs.db", "sqlite", "sqlite:///runs.db"),
        ("mongodb+srv://u:a%40b@h/db?retryWrites=true", "mongodb", "mongodb+srv://u:***@h/db?retryWrites=true"),
        ("mongodb://u:pw@a:1,b:2/db", "mongodb", "mongodb://u:***@a:1,b:2/db"),
        ("${WHOLE}", "mongodb", "mongodb://u:***@h/db"),
        (
            "mongodb://u:pw@h/db?authMechanism=MONGODB-AWS&authMechanismProperties=AWS_SESSION_TOKEN:secret",
            "mongodb",
            "mongodb://u:***@h/db?authMechanism=MONGODB-AWS&authMechanismProperties=***",
        ),
        ("s3://bucket/a/b?region=eu-west-1", "parquet", "s3://bucket/a/b?region=eu-west-1"),
        ("file:///var/runs", "parquet", "file:///var/runs"),
    ],
)
def test_a_url_is_understood_and_shown_without_secrets(given: str, kind: str, shown: str) -> None:
    """The kind follows from the scheme; a password and options that are named like one are hidden, the rest is as written."""
    found = address.parse(given, ENVIRONMENT)
    assert (found.kind, found.shown) == (kind, shown)
    assert "secret" not in repr(found)


def test_a_variable_may_hold_what_separates_the_parts_of_a_url() -> None:
    """A password from the environment reaches the library as it is, whatever characters are in it; a host may bring its port."""
    found = address.parse("postgresql://u:${PGPASSWORD}@${HOST}/${DB}", ENVIRONMENT)
    url = sa.make_url(found.url)
    assert (url.password, url.host, url.port, url.database) == (ENVIRONMENT["PGPASSWORD"], "db.example", 5433, "runs")


@settings(deadline=None)  # a busy machine is no fault of an address
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40))
def test_any_password_arrives_and_is_taken_out_of_foreign_words(password: str) -> None:
    """However a library quotes the password in its message, plainly or for a URL, it does not get through."""
    found = address.parse("postgresql://u:${P}@h/db", {"P": password})
    assert sa.make_url(found.url).password == password
    assert found.redacted(password) == "***"
    quoted = found.url.partition("//u:")[2].partition("@")[0]
    assert found.redacted(quoted) == "***"


def test_a_property_of_mongodb_is_hidden_wherever_it_stands() -> None:
    """A session token is taken out of foreign words by itself, too; a service's name is no secret."""
    found = address.parse("mongodb://h/db?authMechanismProperties=SERVICE_NAME:mongodb,AWS_SESSION_TOKEN:topsecret")
    assert found.redacted("mongodb said: topsecret") == "mongodb said: ***"


@settings(deadline=None)
@given(
    st.sampled_from(["postgresql", "postgres", "mongodb"]),
    st.text("12ab:@/?#&=%", max_size=4),
    st.text("12ab:@/?#&=%", max_size=4),
)
def test_a_password_that_is_not_percent_encoded_is_never_shown(scheme: str, before: str, after: str) -> None:
    """Where libraries do not agree what the password is, the URL is refused; else what is hidden is what SQLAlchemy takes for it."""
    refused, found = "", None
    try:
        found = address.parse(f"{scheme}://u:{before}topsecret{after}@h/db", {})
    except StoreError as e:
        refused = str(e)
    assert "topsecret" not in refused
    if found is not None:
        assert "topsecret" not in found.shown
        assert found.redacted(sa.make_url(found.url).password or "") == "***"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("runs.db", "a URL is wanted"),
        ("postgresql:/h", "a URL is wanted"),
        ("postgre://u:topsecret@h/db", "unknown scheme 'postgre'; nearest: postgres"),
        ("mysql://u:topsecret@h/db", "unknown scheme 'mysql'; there are: postgresql"),
        ("postgresql://u:${NOT_SET}@h/db", "NOT_SET is not set"),
        ("postgresql://u:topsecret@h:port/db", "no such port"),
        ("postgresql://u:topsecret@[h/db", "malformed"),
        ("u:topsecret@host", "a URL is wanted"),
        ("postgresql://u:12/topsecret@h/db", "percent-encode the password"),
        ("postgresql://u:12?topsecret@h/db", "percent-encode the password"),
        ("mongodb://u:12#topsecret@h/db", "percent-encode the password"),
        ("postgresql://u:p@topsecret@h/db", "percent-encode the password"),
        ("s3://u:topsecret/x@bucket/prefix", "no such port"),
        ("postgresql://h?password=topsecret&user=${NOT_SET}", "NOT_SET is not set"),
    ],
)
def test_what_is_no_store_is_an_error_without_the_password(given: str, words: str) -> None:
    """The message names the fix; what stands before an @ is never in it, since it may be a password."""
    with pytest.raises(StoreError) as raised:
        address.parse(given, ENVIRONMENT)
    assert words in str(raised.value)
    assert "topsecret" not in str(raised.value)
