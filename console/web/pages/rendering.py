"""Template and values → a page.

Whatever a model, a target or a visitor said is escaped by the templates. Should that ever fail, the Content-Security-Policy of ``guard.py``
lets no script and no style run that is not a file of ours: templates have no style attributes, no handlers and no scripts inside.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from analysis.report import wording
from analysis.report.costs import dollars

HEADERS = {"Referrer-Policy": "same-origin"}
"""The rest is the guard's. With its no-referrer a form's Origin would be null, and signing in be taken for another site's doing."""


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("console.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": wording.number,
        "count": wording.count,
        "share": wording.share,
        "seconds": wording.seconds,
        "moment": wording.moment,
        "dollars": dollars,
    }
    return made


def page(name: str, here: str, /, *, status: int = 200, signed: bool = False, **values: Any) -> HTMLResponse:
    """``here``: the page's place in the navigation, or "" for none. ``signed``: whether somebody could sign out."""
    template = _environment().get_template(f"{name}.html.j2")
    text = template.render(here=here, nav=name != "login", may_sign_out=signed, **values)
    return HTMLResponse(text, status, HEADERS)
