"""Which view of the sources a request looks at."""

from __future__ import annotations

from starlette.requests import Request

from venvery.services.house import House
from venvery.services.serving import Serving

__all__ = ["view_of"]


def view_of(request: Request) -> Serving:
    """Give the view that the path names, else the default one.

    Raises `NotFound`, and `NotKnown` or `NotAllowed` when it is not the visitor's to see.
    """
    house: House = request.app.state.house
    return house.serving(request.path_params.get("view"))
