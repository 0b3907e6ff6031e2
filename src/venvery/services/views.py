"""Views: the sources of one data folder, as different people see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from venvery.catalog.catalog import Catalog
from venvery.errors import NotFound
from venvery.model.digests import canonical_json, sha256
from venvery.model.sources import DEFAULT_VIEW, ViewSpec
from venvery.services.answers import Answers
from venvery.services.bench import Bench
from venvery.services.policing import Policing
from venvery.services.resolving import BuildMetadata, Resolver
from venvery.services.rights import VISITOR
from venvery.storage.database import Database

__all__ = ["View", "Views"]


@dataclass(frozen=True, slots=True)
class View:
    """One view, with all that works on it alone."""

    spec: ViewSpec
    catalog: Catalog
    resolver: Resolver
    answers: Answers
    identity: str
    """Part of what names an answer: what this view's answers depend on, beside request and listings."""

    @property
    def name(self) -> str:
        """What it is called in requests."""
        return self.spec.name


class Views:
    """All views of a house."""

    def __init__(
        self,
        catalog: Catalog,
        specs: Sequence[ViewSpec],
        *,
        database: Database,
        bench: Bench,
        policing: Policing,
        allowed_urls: tuple[str, ...],
        build_metadata: BuildMetadata | None = None,
        builds: str = "",
    ) -> None:
        """`builds` names the settings of `build_metadata`, on which answers depend too."""
        self._views: dict[str, View] = {}
        for spec in (catalog.spec, *specs):  # a view that has the name of the default view is in its place
            seen = catalog if spec is catalog.spec else catalog.view(spec)
            self._views[spec.name] = View(
                spec,
                seen,
                Resolver(seen, bench, allowed_urls=allowed_urls, build_metadata=build_metadata),
                Answers(seen, database, policing),
                sha256(canonical_json([seen.identity, allowed_urls, builds])),
            )

    def get(self, name: str | None) -> View:
        """Give a view; the default one for None.

        Raises `NotFound`, and `NotKnown` or `NotAllowed` when it is not for the visitor: there is no other way to
        a view, and so no way around this.
        """
        view = self._views.get(DEFAULT_VIEW if name is None else name)
        if view is None:
            raise NotFound(f"there is no view {str(name)[:80]!r}", hint="see [[views]] in the configuration")
        VISITOR.get().enter(view.spec)
        return view

    def all(self) -> list[View]:
        """Give all views, the default one first."""
        return list(self._views.values())
