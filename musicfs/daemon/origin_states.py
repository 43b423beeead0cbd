"""The configured origins as the keeper works with them: opened, and with a number each in the catalog."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping

from musicfs.config.settings import OriginSettings, Settings
from musicfs.daemon.opening import Tallies, enabled_origins
from musicfs.daemon.scanning import OriginState
from musicfs.origins.contract import Origin
from musicfs.origins.registry import open_origin
from musicfs.store.catalog import Catalog
from musicfs.store.records import OriginRecord
from musicfs.store.transaction import WriteTransaction


def open_states(
    settings: Settings, catalog: Catalog, opened: MutableMapping[int, Origin], tallies: Tallies
) -> list[OriginState]:
    """Open every enabled origin, best priority first, and give new ones their number.

    ``opened`` has each as it is open now, by its number: it may be opened anew. ``tallies`` count what is asked of it.
    """

    def opener(settings_of_one: OriginSettings, number: int) -> Callable[[bytes], Origin]:
        def open_anchored(anchor: bytes) -> Origin:
            origin = open_origin(
                settings_of_one,
                anchor=anchor,
                debounce_s=settings.scan.debounce_s,
                tally=tallies.of(settings_of_one.id),
            )
            opened[number] = origin
            return origin

        return open_anchored

    states = []
    for one in enabled_origins(settings):
        with WriteTransaction(catalog) as tx:
            record = tx.origin(one.id)
            if record is None:
                record = OriginRecord(tx.new_origin_number(), one.origin_type, one.address)
            elif record.root != one.address:
                record = OriginRecord(record.number, one.origin_type, one.address, b"", record.files, record.size_bytes)
            tx.put_origin(one.id, record)
        states.append(OriginState(one, opener(one, record.number), record))
    return states
