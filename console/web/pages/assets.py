"""What the pages load: our style and modules, the reports' style, and the charting library as one file.

The library is the bundle of Vega, Vega-Lite and Vega-Embed that vl-convert carries, the same that draws the reports. Making the file takes
a second or two and a JavaScript engine's memory, so a process of low priority makes it once and it stays beside the runs.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
from importlib import resources
from importlib.metadata import version
from pathlib import Path

from generator.errors import MachineError

STATIC = Path(str(resources.files("console.web") / "static"))
REPORT_STYLE = Path(str(resources.files("analysis.report") / "assets" / "report.css"))


@functools.cache
def static() -> dict[str, Path]:
    """Files by name: ours, and the reports' style, which has the colours, type and tables that the dashboard shares."""
    return {file.name: file for file in STATIC.iterdir() if file.is_file()} | {REPORT_STYLE.name: REPORT_STYLE}


_MAKE = """
import os, pathlib, sys
os.nice(10)
import vl_convert
made = pathlib.Path(sys.argv[1])
half = made.with_suffix(f".{os.getpid()}")
half.write_text(vl_convert.javascript_bundle(), encoding="utf-8")
half.replace(made)
"""
_LONGEST_S = 120
_making = threading.Lock()


def bundle(own_dir: Path) -> Path:
    """The charting library's file, made now where it is not there yet. Raises MachineError where it cannot be made."""
    made = own_dir / f"vega-{version('vl-convert-python')}.js"
    with _making:
        if made.exists():
            return made
        try:
            subprocess.run(
                [sys.executable, "-P", "-c", _MAKE, str(made)],
                check=True,
                timeout=_LONGEST_S,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ},
            )
        except (OSError, subprocess.SubprocessError) as e:
            raise MachineError(f"{made}: the charting library cannot be written there: {e}") from e
    return made
