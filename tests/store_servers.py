"""Servers to keep runs in, real ones, each on a port and in a folder of its own: PostgreSQL, one that speaks MongoDB's protocol, S3."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from whole_runs import until


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
def postgresql(folder: Path) -> Iterator[str]:
    """``postgresql://tester:p%40ss@127.0.0.1:PORT/runs``: a cluster of its own; ``tester`` owns the database ``runs`` and nothing else."""
    binaries = postgres_binaries()
    data, sockets = folder / "data", folder / "sockets"
    folder.mkdir(parents=True)
    sockets.mkdir()
    as_user: list[str] = []
    if os.geteuid() == 0:
        # PostgreSQL refuses to run as root; its package brings a user.
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
        for path in (folder, sockets):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        for parent in folder.parents:
            if parent.owner() == "root" and parent != Path("/") and parent.stat().st_mode & 0o055 != 0o055:
                parent.chmod(parent.stat().st_mode | 0o011)
    port = free_port()
    password = folder / "password"
    password.write_text("sup3r s3cret")
    password.chmod(0o644)
    run = {"check": True, "stdout": subprocess.DEVNULL, "cwd": "/"}
    subprocess.run(
        [
            *as_user,
            str(binaries / "initdb"),
            "-D",
            str(data),
            "-U",
            "admin",
            "-A",
            "scram-sha-256",
            "--pwfile",
            str(password),
        ]
        + ["--no-sync", "-E", "UTF8", "--locale", "C.UTF-8"],
        **run,
    )
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={sockets} -c fsync=off"
    control = [*as_user, str(binaries / "pg_ctl"), "-D", str(data)]
    subprocess.run([*control, "-w", "-o", options, "-l", str(folder / "data" / "log"), "start"], **run)
    try:
        import psycopg

        admin = f"postgresql://admin:sup3r%20s3cret@127.0.0.1:{port}"
        with psycopg.connect(f"{admin}/postgres", autocommit=True) as connection:
            connection.execute("CREATE ROLE tester LOGIN PASSWORD 'p@ss:w/rd'")
            connection.execute("CREATE DATABASE runs OWNER tester")
        yield f"postgresql://tester:p%40ss%3Aw%2Frd@127.0.0.1:{port}/runs"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **run)


@contextmanager
def mongodb(folder: Path, port: int | None = None) -> Iterator[str]:
    """``mongodb://127.0.0.1:PORT/runs?directConnection=true``: SecantusDB, which speaks MongoDB's wire protocol; it is no mongod."""
    if (
        importlib.util.find_spec("secantus") is None
        and shutil.which("secantusd-py", path=Path(sys.executable).parent) is None
    ):
        pytest.skip("SecantusDB is not installed (pip install 'openloop[dev]')")
    port = port or free_port()
    command = [str(Path(sys.executable).parent / "secantusd-py"), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--storage-path", str(folder), "--standalone", "--log-level", "WARNING"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: listening(port), "the MongoDB-protocol server's start")
            yield f"mongodb://127.0.0.1:{port}/runs?directConnection=true"
        finally:
            process.kill()


@contextmanager
def s3(bucket: str = "runs") -> Iterator[str]:
    """``s3://runs/team/x?endpoint_override=…``: moto, in this process. Its keys are in the environment while it lasts."""
    server_module = pytest.importorskip("moto.server", reason="moto is not installed (pip install 'openloop[dev]')")
    import boto3

    server = server_module.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
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
