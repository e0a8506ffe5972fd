"""The token, shown once: a form takes it, a cookie remembers it. Pages need this; programs send the token as a bearer."""

from __future__ import annotations

from typing import Annotated

import anyio
from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from console.web import guard
from console.web.api import answers
from console.web.api.asked import Asked

router = APIRouter(tags=["service"], include_in_schema=False)

_SLOW_S = 0.5
_WEEK_S = 7 * 86_400


@router.post("/login")
async def login(request: Request, asked: Asked, token: Annotated[str, Form(max_length=500)]) -> Response:
    """303 to the dashboard with the cookie; 303 back to the login page with ?wrong=1, a moment later, for a wrong token."""
    wanted = asked.settings.token
    if wanted is None:
        return RedirectResponse("/ui/", 303)
    if not guard.same(token.strip(), wanted):
        await anyio.sleep(_SLOW_S)  # holds no thread, so that whoever guesses holds up nobody
        if "text/html" not in request.headers.get("accept", ""):
            return answers.problem(401, "that is not the token")
        return RedirectResponse("/ui/login?wrong=1", 303)
    response = RedirectResponse("/ui/", 303)
    response.set_cookie(
        guard.COOKIE,
        guard.cookie_of(wanted),
        max_age=_WEEK_S,
        httponly=True,
        samesite="strict",
        # A proxy in front ends TLS and says so. Who lies about it only keeps a cookie of his own from coming back.
        secure=asked.settings.tls or request.headers.get("x-forwarded-proto") == "https",
    )
    return response


@router.post("/logout")
def logout() -> Response:
    """Forget the cookie."""
    response = RedirectResponse("/ui/login", 303)
    response.delete_cookie(guard.COOKIE, httponly=True, samesite="strict")
    return response
