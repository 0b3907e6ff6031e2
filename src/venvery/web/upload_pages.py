"""Pages for those who bring something: sign in, and upload."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from venvery.errors import NotKnown
from venvery.model.access import COOKIE, Visitor
from venvery.services.house import House
from venvery.web.rendering import PAGES, render

__all__ = ["router"]

router = APIRouter(tags=[PAGES], include_in_schema=False)

_SIGNED_IN_FOR = 30 * 86400
"""Seconds."""
_MOST = 512
"""Characters of a token."""


@router.get("/upload")
async def upload(request: Request) -> Response:
    """Show where files may be dropped, for the sources that the visitor may upload to."""
    house: House = request.app.state.house
    visitor: Visitor = request.scope["venvery.visitor"]
    sources = [source.name for source in house.publisher.sources]
    allowed = [name for name in sources if visitor.may("upload", name)]
    return render(request, "upload.html", {"sources": sources, "allowed": allowed, "visitor": visitor})


@router.get("/sign-in")
async def ask_token(request: Request) -> Response:
    """Ask for a token."""
    visitor: Visitor = request.scope["venvery.visitor"]
    return render(request, "sign_in.html", {"visitor": visitor, "refused": None})


@router.post("/sign-in")
async def sign_in(request: Request) -> Response:
    """Take a token, and keep it in a cookie that no script sees and no other site can send."""
    house: House = request.app.state.house
    async with request.form(max_files=0, max_fields=4, max_part_size=4096) as fields:
        token = str(fields.get("token", "")).strip()[:_MOST]
    try:
        visitor = house.rights.visitor(f"Bearer {token}")
    except NotKnown as refused:
        shown = {"visitor": request.scope["venvery.visitor"], "refused": refused}
        return render(request, "sign_in.html", shown, status=401)
    answer = RedirectResponse("/upload" if visitor.known else "/", 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(
        COOKIE, token, max_age=_SIGNED_IN_FOR, path="/", secure=secure, httponly=True, samesite="strict"
    )
    return answer


@router.post("/sign-out")
async def sign_out() -> Response:
    """Forget the token."""
    answer = RedirectResponse("/", 303)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer
