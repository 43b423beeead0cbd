"""A walk over folders that are listed one by one, each costing a round trip: the next few are asked for on threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import msgspec

from musicfs.origins.contract import Folder

C = TypeVar("C")


class Listed(msgspec.Struct, Generic[C], frozen=True):
    """One folder, and what its sub-folders are asked for by, in order."""

    folder: Folder
    children: Sequence[C]


class _Turn(Generic[C]):
    """A folder that waits for its turn."""

    __slots__ = ("child", "listed")

    def __init__(self, child: C) -> None:
        self.child = child
        self.listed: Future[Listed[C] | None] | None = None


def walk_ahead(
    first: C, listed: Listed[C], list_one: Callable[[C], Listed[C] | None], *, ahead: int, name: str
) -> Iterator[tuple[C, Folder]]:
    """``first``, which was ``listed``, and all below it, depth first, parents before children, siblings as they were named.

    ``list_one`` runs on up to ``ahead`` threads called ``name``, which end with the walk; it answers None for what has gone
    away since its parent was listed, and what it raises is raised here. No thread is started before the second folder is
    asked for.
    """
    yield first, listed.folder
    pending = [_Turn(child) for child in reversed(listed.children)]
    if not pending:
        return
    with ThreadPoolExecutor(ahead, thread_name_prefix=name) as pool:
        try:
            while pending:
                for turn in pending[: -ahead - 1 : -1]:
                    if turn.listed is None:
                        turn.listed = pool.submit(list_one, turn.child)
                turn = pending.pop()
                assert turn.listed is not None
                below = turn.listed.result()
                if below is not None:
                    yield turn.child, below.folder
                    pending.extend(_Turn(child) for child in reversed(below.children))
        finally:
            pool.shutdown(cancel_futures=True)  # waits for what is under way, which has its timeout
