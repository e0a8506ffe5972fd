"""``openloop serve``: the REST API and the dashboard."""

from __future__ import annotations

import os
from pathlib import Path

import click

from console.commands.options import runs_dir_option


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Address to listen on; any but loopback needs a token.")  # fmt: skip
@click.option("--port", type=click.IntRange(1, 65535), default=8765, show_default=True, help="Port to listen on.")
@runs_dir_option
@click.option(
    "--database-url",
    envvar="DATABASE_URL",
    metavar="URL",
    help="Catalogue of benchmarks: postgresql://… or sqlite:///FILE; a file in the runs folder unless said, here or in DATABASE_URL.",
)
@click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File that holds the token; OPENLOOP_TOKEN does the same.",
)
@click.option(
    "--tls-cert",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Certificate chain (PEM): the service speaks https. With --tls-key.",
)
@click.option(
    "--tls-key",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The certificate's key (PEM), without a password.",
)
@click.option("--allow-host", "allow_hosts", multiple=True, metavar="NAME", help="A name by which the service is called, such as bench.example; may be given several times.")  # fmt: skip
@click.option(
    "--allow-target",
    "allow_targets",
    multiple=True,
    metavar="HOST[:PORT]",
    help="A target that may be loaded; may be given several times. On loopback any may be unless one is named; elsewhere none but the built-in "
    "endpoint.",
)
@click.option(
    "--allow-env",
    "allow_env",
    multiple=True,
    metavar="NAME[@HOST]",
    help="A variable of this environment that scenarios may name as ${NAME}, for any target that may be loaded or, over https, for HOST alone. "
    "Providers' own keys go to their own hosts without this.",
)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="The folder whose files scenarios may name: prompts, traces, tokenizers, certificates.",
)
@click.option("--target", default="simulator", show_default=True, metavar="URL", help="Target of a benchmark that names none.")  # fmt: skip
@click.option("--provider", metavar="NAME", help="Provider of a benchmark that names no target; goes before --target.")
@click.option("--model", metavar="MODEL", help="Model of a benchmark that names none.")
@click.option("--per-target", type=click.IntRange(1, 100), default=1, show_default=True, help="Benchmarks that load one target at the same time.")  # fmt: skip
@click.option("--at-once", type=click.IntRange(1, 100), default=2, show_default=True, help="Benchmarks that run at the same time in all; they share this machine.")  # fmt: skip
@click.option(
    "--allow-webhook",
    "webhook_hosts",
    multiple=True,
    metavar="HOST[:PORT]",
    help="A host that may be told when a benchmark is over; may be given several times.",
)
@click.option("--webhook-private", is_flag=True, help="Such hosts may be in private networks or on this machine.")
def serve(
    host: str,
    port: int,
    runs_dir: Path,
    database_url: str | None,
    token_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    allow_hosts: tuple[str, ...],
    allow_targets: tuple[str, ...],
    allow_env: tuple[str, ...],
    data_dir: Path | None,
    target: str,
    provider: str | None,
    model: str | None,
    per_target: int,
    at_once: int,
    webhook_hosts: tuple[str, ...],
    webhook_private: bool,
) -> None:
    """Serve the REST API and the dashboard over the runs of a folder, until Ctrl-C.

    Benchmarks wait in a queue and run one at a time per target, each as a process of its own; the API is described at /docs.
    """
    try:
        from console.web import serving
        from console.web.settings import Settings, is_loopback
    except ModuleNotFoundError as e:
        raise click.UsageError(f"the service needs {e.name}: pip install 'openloop[serve]'") from e

    token, made = serving.token(is_loopback(host), token_file, os.environ)
    settings = Settings(
        runs_dir=runs_dir,
        host=host,
        port=port,
        database_url=database_url,
        token=token,
        allow_hosts=allow_hosts,
        allow_targets=allow_targets if allow_targets or not is_loopback(host) else None,
        allow_env=allow_env,
        data_dir=data_dir,
        target=target,
        provider=provider,
        model=model,
        webhook_hosts=webhook_hosts,
        webhook_private=webhook_private,
        webhook_secret=os.environ.get("OPENLOOP_WEBHOOK_SECRET") or None,
        per_target=per_target,
        at_once=at_once,
        tls_cert=tls_cert,
        tls_key=tls_key,
    )
    serving.check(settings)
    shown = f"[{host}]" if ":" in host else host
    click.echo(f"{'https' if settings.tls else 'http'}://{shown}:{port}/ (API: /docs; runs: {runs_dir})", err=True)
    if not (settings.tls or settings.loopback):
        click.echo("plain http: token and answers can be read on the way; --tls-cert and --tls-key, or a proxy that ends TLS, mend it", err=True)  # fmt: skip
    if made:
        click.echo(f"token, shown this once: {token}", err=True)
    serving.serve(settings)
