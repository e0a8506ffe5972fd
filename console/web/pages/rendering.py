"""Template and values → a page, with the headers that every page has.

Whatever a model, a target or a visitor said is escaped by the templates; should that ever fail, the policy lets no script and no style run
that is not a file of ours, and lets the page talk to nobody but its own service.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from analysis.report import wording
from analysis.report.costs import dollars

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


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


def page(name: str, here: str, *, status: int = 200, signed: bool = False, **values: Any) -> HTMLResponse:
    """``here``: the page's place in the navigation, or "" for none. ``signed``: whether somebody could sign out."""
    template = _environment().get_template(f"{name}.html.j2")
    text = template.render(here=here, nav=name != "login", may_sign_out=signed, **values)
    return HTMLResponse(text, status, HEADERS)
