"""Servers to keep runs in, real ones, each on a port and in a folder of its own: PostgreSQL, one that speaks MongoDB's protocol, S3."""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg
import pymongo
import pytest

ADMIN_PASSWORD = "sup3r s3cret"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def listening(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def postgres_binaries() -> Path:
    """The folder of initdb and pg_ctl. Skips where PostgreSQL is not installed."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).parent] if on_path else []
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for folder in found:
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    pytest.skip(
        "PostgreSQL is not installed: neither initdb on PATH nor /usr/lib/postgresql/*/bin (apt-get install postgresql)"
    )


@contextmanager
def postgresql() -> Iterator[str]:
    """``postgresql://tester:p%40ss%3Aw%2Frd@127.0.0.1:PORT/runs``: a cluster of its own; ``tester`` owns the database ``runs``, and
    may not look into ``closed``. ``admin``, whose password is ADMIN_PASSWORD, may do all.
    """
    binaries = postgres_binaries()
    as_user: list[str] = []
    # Not in pytest's folder, which is closed to other users each time that some pytest starts.
    with tempfile.TemporaryDirectory(prefix="openloop-postgresql-") as name:
        folder = Path(name)
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root; its package brings a user.
            try:
                owner = pwd.getpwnam("postgres")
            except KeyError:
                pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
            as_user = ["runuser", "-u", "postgres", "--"]
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        data, port, password = folder / "data", free_port(), folder / "password"
        password.write_text(ADMIN_PASSWORD)
        password.chmod(0o644)
        made = ["-U", "admin", "-A", "scram-sha-256", "--pwfile", str(password)]
        made += ["--no-sync", "-E", "UTF8", "--locale", "C.UTF-8"]
        _quietly(*as_user, str(binaries / "initdb"), "-D", str(data), *made)
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        control = [*as_user, str(binaries / "pg_ctl"), "-w", "-D", str(data)]
        _quietly(*control, "-o", options, "-l", str(folder / "data" / "log"), "start")
        try:
            with psycopg.connect(admin(f"postgresql://127.0.0.1:{port}/postgres"), autocommit=True) as connection:
                connection.execute("CREATE ROLE tester LOGIN PASSWORD 'p@ss:w/rd'")
                connection.execute("CREATE DATABASE runs OWNER tester")
                connection.execute("CREATE DATABASE closed")
                connection.execute("REVOKE CONNECT ON DATABASE closed FROM public")
            yield f"postgresql://tester:p%40ss%3Aw%2Frd@127.0.0.1:{port}/runs"
        finally:
            _quietly(*control, "-m", "immediate", "stop")


def admin(url: str) -> str:
    """The same place for who may do all."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://admin:{quote(ADMIN_PASSWORD)}@{rest.rpartition('@')[2]}"


def _quietly(*words: str) -> None:
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, cwd="/")


@contextmanager
def mongodb(folder: Path, port: int | None = None) -> Iterator[str]:
    """``mongodb://127.0.0.1:PORT/runs?directConnection=true``: SecantusDB, which speaks MongoDB's wire protocol; it is no mongod.

    ``OPENLOOP_TEST_MONGODB`` (mongodb://host:port) names a server that is there already; the databases made in it stay.
    """
    if port is None and (there := os.environ.get("OPENLOOP_TEST_MONGODB")):
        yield f"{there}/runs-{uuid.uuid4().hex[:8]}?directConnection=true"
        return
    program = Path(sys.executable).parent / "secantusd-py"
    if not program.exists():
        pytest.skip("SecantusDB is not installed (pip install 'openloop[dev]')")
    port = port or free_port()
    command = [str(program), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--storage-path", str(folder), "--standalone", "--log-level", "WARNING"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while not listening(port):
                assert process.poll() is None, "the MongoDB-protocol server did not start"
                time.sleep(0.05)
            yield f"mongodb://127.0.0.1:{port}/runs?directConnection=true"
        finally:
            process.kill()


def emptied(url: str) -> str:
    """The same place, nothing in it: nx-27017 keeps all databases in one, so that a new name is not a new place there."""
    if "OPENLOOP_TEST_MONGODB" in os.environ:
        with pymongo.MongoClient(url) as client:
            database = client.get_default_database()
            for name in database.list_collection_names():
                database.drop_collection(name)
    return url


@contextmanager
def s3(bucket: str = "runs") -> Iterator[str]:
    """``s3://runs/team/x?endpoint_override=…``: moto, in this process. Its keys are in the environment while it lasts."""
    server_module = pytest.importorskip("moto.server", reason="moto is not installed (pip install 'openloop[dev]')")
    import boto3

    server = server_module.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request is not asked for
    server.start()
    host, port = server.get_host_and_port()
    keys = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "p@ss:w/rd", "AWS_EC2_METADATA_DISABLED": "true"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in keys.items():
            patch.setenv(name, value)
        try:
            client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", region_name="us-east-1")
            client.create_bucket(Bucket=bucket)
            yield f"s3://{bucket}/team/x?endpoint_override=http://{host}:{port}&region=us-east-1"
        finally:
            server.stop()
