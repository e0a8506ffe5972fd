"""``python -m simulator --ttft 50ms --itl 10ms``: prints one JSON line when it is ready and serves until it is stopped."""

from __future__ import annotations

import argparse
import sys

from simulator.settings import OPTIONS, SettingsError, from_options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulator",
        description="An OpenAI-compatible LLM endpoint that tells the truth about its own times. Prints "
        '{"url": …, "port": …, "pids": […]} when it is ready; ends on SIGTERM, SIGINT and SIGHUP.',
    )
    for key, option in OPTIONS.items():
        parser.add_argument("--" + key.replace("_", "-"), dest=key, metavar="…", help=option.help.replace("%", "%%"))
    parser.add_argument("--until-stdin-closes", action="store_true", help="end, too, when standard input does")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Exit code 2: an option is wrong or the address cannot be had; 1: the truth log could not be written, or a process died."""
    given = vars(_parser().parse_args(arguments))
    until_stdin_closes = given.pop("until_stdin_closes")
    try:
        settings = from_options(given)
        from simulator import serve

        return serve.run(settings, until_stdin_closes=until_stdin_closes)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
