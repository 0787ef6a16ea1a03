"""Pixels computed once for each kind of request: what a client does is measured, not the emulator.

Two requests are of one kind where they differ in nothing but the place: the same body apart from
`translateX` and `translateY` of the grid; for what `getDownloadURL` and `getThumbURL` gave the
address of, where the region is inside the expression, the same shape, bands, format and options.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from water_gee.emulator.digest import digest_of

if TYPE_CHECKING:
    from water_gee.emulator.routes import Answer

CANNED_BYTES = 512 * 1024 * 1024
"""Most bytes of answers kept; those longest unused are forgotten."""

_GRID = b'"affineTransform"'
_PLACE = re.compile(rb'"translate[XY]"\s*:\s*[-+.0-9eE]+')


def kind_of_body(path: str, body: bytes) -> bytes | None:
    """Return what is the same for requests of computePixels and getPixels of one kind.

    The body is searched, not parsed: it may hold megabytes of expression.

    Args:
        path: Names the method, and for getPixels the asset.
        body: The message.

    Returns:
        A digest; None where the message holds more than one grid, so that no place can be told.
    """
    begin = body.find(_GRID)
    if begin < 0:
        begin = end = 0
    elif body.find(_GRID, begin + 1) < 0:
        end = max(body.find(b"}", begin), begin)
    else:
        return None
    view = memoryview(body)
    return digest_of(
        path.encode("latin-1"), view[:begin], _PLACE.sub(b"", view[begin:end]), view[end:]
    )


class CannedAnswers:
    """Answers by kind, kept in memory up to a limit; for one event loop.

    Args:
        limit: Bytes of their bodies.
    """

    def __init__(self, limit: int = CANNED_BYTES) -> None:
        self._answers: OrderedDict[bytes, Answer] = OrderedDict()
        self._turns: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()
        self._limit = limit
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes kept."""
        return self._size

    def get(self, kind: bytes) -> Answer | None:
        """Return the answer for a kind of request, None where none is kept."""
        answer = self._answers.get(kind)
        if answer is not None:
            self._answers.move_to_end(kind)
        return answer

    def turn(self, kind: bytes) -> asyncio.Lock:
        """Return what those hold who compute an answer, so that one does and the others wait."""
        return self._turns.setdefault(kind, asyncio.Lock())

    def keep(self, kind: bytes, answer: Answer) -> None:
        """Keep an answer, and forget the oldest for it; one above the limit is not kept."""
        if len(answer.body) > self._limit:
            return
        replaced = self._answers.pop(kind, None)
        self._size += len(answer.body) - (0 if replaced is None else len(replaced.body))
        self._answers[kind] = answer
        while self._size > self._limit:
            _, oldest = self._answers.popitem(last=False)
            self._size -= len(oldest.body)
