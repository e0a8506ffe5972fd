"""Opens the catalogue's database and brings it up to date: SQLite in the runs folder, or PostgreSQL by URL."""

from __future__ import annotations

from pathlib import Path

import alembic.command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from generator.errors import RunFolderError

MIGRATIONS = Path(__file__).parent / "migrations"


def opened(url: str) -> Engine:
    """An engine whose database has the newest tables. Raises RunFolderError, which never shows a password."""
    engine = None
    try:
        where = _driven(make_url(url))
        if where.get_backend_name() == "sqlite" and where.database:
            Path(where.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(where, pool_pre_ping=True)
        if where.get_backend_name() == "sqlite":
            event.listen(engine, "connect", _sqlite)
        upgrade(engine)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, SQLAlchemyError, OSError) as e:
        if engine is not None:
            engine.dispose()
        raise RunFolderError(f"the catalogue's database cannot be opened: {_said(e, url)}") from None
    return engine


def _driven(url: URL) -> URL:
    """``postgresql://`` and ``postgres://`` by psycopg, whatever SQLAlchemy's own default is."""
    if url.drivername in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise ArgumentError(f"{url.drivername}: sqlite:///FILE or postgresql://… is wanted")
    return url


def _said(error: Exception, url: str) -> str:
    try:
        password = make_url(url).password
    except ArgumentError:
        return "no database URL; such as sqlite:///catalogue.sqlite or postgresql://user@host/openloop"
    text = str(getattr(error, "orig", None) or error).strip().split("\n", 1)[0]
    return text.replace(str(password), "***") if password else text


def _sqlite(connection: object, _: object) -> None:
    """Readers beside one writer, and patience: the service's threads share the file."""
    cursor = connection.cursor()  # type: ignore[attr-defined]  # SQLAlchemy types a driver's connection as object
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "busy_timeout = 10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def upgrade(engine: Engine) -> None:
    """Run the migrations that this database has not seen."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")
