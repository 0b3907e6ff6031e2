"""Requirements to a lock. Pure: no input or output, no clock, no globals."""

from venvery.resolve.explain import story
from venvery.resolve.protocol import Need, Resolution, Shelf
from venvery.resolve.solving import solve
from venvery.resolve.universe import MemoryShelf, Universe

__all__ = ["MemoryShelf", "Need", "Resolution", "Shelf", "Universe", "solve", "story"]
