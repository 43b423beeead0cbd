"""Who listens: what open handles tell of a track being played, and not scanned, copied, checked or given to peers.

A play is what scrobblers take for one: half of a track, or four minutes of it, whichever comes first
(https://www.last.fm/api/scrobbling#when-is-a-scrobble-a-scrobble). Their third rule, that a track is longer than 30 seconds,
is left out: short pieces are heard too, and no scan keeps one open for half its time.

A filesystem sees no playing, only a handle that is opened, read and closed; and of what the kernel has cached, no reads.
This is how programs do that, seen with tracks of 70 seconds in FLAC, MP3, M4A and Ogg:

======================  =================================================================================================
ffmpeg -re, ffplay,     head and end, a few jumps; then on and on as the music goes, up to a second or two and the
gst-launch, vlc         kernel's 256 KiB ahead. The handle is closed at the end of the music.
mpv                     all at once, into a cache of its own: a FUSE mount is a network for it. Closed at the end.
mpd                     on and on, 20 s ahead of the music. Closed when all is read; the next one is opened then.
mpd update, ffprobe     head, end, a few jumps, at times half of the file; closed after some ms
cp, rsync, sha256sum    all in order; closed after some ms, or as soon as origin, line or other disk let it
ffmpeg, transcoding     the same, as fast as the machine computes
======================  =================================================================================================

So a play is a handle that is open for as long as that; whose reads, if there are any, have come as far as a listener has, and
do not turn back again and again; that read no faster than music goes, when it went on for so long; and that mostly did not
wait for us, as a copy over a slow line does. What none of this tells apart: a copy that something else slows down to nearly
the pace of the music; a server that reads a file at once for its client, and closes it; a player that is paused for long with
all of a track read; and one that comes to where the kernel has the rest is taken for paused.

:class:`Listening` is told of handles by the mount's handlers, one at a time, and looked at by one other thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import msgspec

from musicfs.clock import Clock
from musicfs.store.catalog import Catalog
from musicfs.store.records import Node, NodeKind, ObjectKind, unpack_stored
from musicfs.vfs.names import VERSIONS_NAME

_PLAYED_SHARE = 0.5
_PLAYED_S = 240.0
_GLANCE_S = 1.0  # what is open for less is not asked about: scans open thousands
_SHORT_S = 4.0  # is over before its pace can be told from two looks
# Music of a variable bitrate runs ahead of its mean for a while, nothing that is heard does so for long. Reads come by
# 128 KiB, and often two of them together.
_FASTEST_PACE = 1.5
_AHEAD_BYTES = 256 << 10
# The quiet half of a track has less than half of its bytes.
_READ_SHARE = 0.8
# Reads that the kernel sends at the same time come in any order.
_NEAR_BYTES = 512 << 10
# Players turn back once or twice to begin, and where a listener goes back; some search for a place by halves. Who reads
# pieces in any order turns back every second time.
_MOST_TURNS = 8
# A copy waits for us all the time but for its own writing, and a listener hardly ever: music is slower than lines are.
_WAITING_SHARE = 0.9
# One process that serves a household keeps a handle or two open for each listener; seeders and indexers keep dozens.
_MOST_OF_A_PROCESS = 8
# A player may open the next track, or the same again, so much before the last one ends (mpd: 20 s).
_PLAYER_AHEAD_S = 60.0
_REMEMBERED = 1000


class Hearing(msgspec.Struct, gc=False):
    """One handle on a track, from its opening on. Times are of a monotonic clock, in seconds."""

    node: Node
    pid: int
    opened_at: float
    closed_at: float = 0.0
    total_bytes: int = 0
    place: int = 0  # where reading has come to; what it passed over may be in the kernel's cache
    turns: int = 0  # back
    waited_s: float = 0.0  # for us
    duration_s: float = -1.0  # of the track; 0: not known; below 0: not asked yet
    mark_at: float = 0.0  # since when the pace is measured
    mark_bytes: int = 0

    def note(self, start: int, stop: int, waited_s: float) -> None:
        """``[start, stop)`` was read, and that took so long."""
        self.waited_s += waited_s
        self.total_bytes += stop - start
        if stop > self.place:
            self.place = stop
        elif start < self.place - _NEAR_BYTES:
            self.place = stop
            self.turns += 1

    def due_s(self) -> float:
        """How long this must be open to be a play."""
        return min(self.duration_s * _PLAYED_SHARE, _PLAYED_S) if self.duration_s else _PLAYED_S

    def is_play(self, now: float) -> bool:
        """Whether it is known by now that the track was played. Call it again and again, with the time of the closing last:
        the pace is that between two calls that are some time apart.
        """
        due_s, age_s = self.due_s(), now - self.opened_at
        if not self.mark_at:
            if age_s >= due_s / 2:
                self.mark_at, self.mark_bytes = now, self.total_bytes
            return due_s < _SHORT_S and age_s >= due_s and self._is_heard(age_s, due_s)
        passed_s = now - self.mark_at
        if age_s < due_s or passed_s < due_s / 2 - _GLANCE_S:  # looks do not come when they are due
            return False
        if self.duration_s and self.total_bytes - self.mark_bytes > self._most_bytes(passed_s):
            self.mark_at, self.mark_bytes = now, self.total_bytes  # a player may have filled its cache until now
            return False
        return self._is_heard(age_s, due_s)

    def _most_bytes(self, passed_s: float) -> float:
        return _FASTEST_PACE * self.node.size * passed_s / self.duration_s + _AHEAD_BYTES

    def _is_heard(self, age_s: float, due_s: float) -> bool:
        if not self.total_bytes:
            return True  # all of it was in the kernel's cache
        share = due_s / self.duration_s if self.duration_s else 0.0
        has_come = self.place >= _READ_SHARE * share * self.node.size
        return has_come and self.turns <= _MOST_TURNS and self.waited_s <= _WAITING_SHARE * age_s


class Heard(msgspec.Struct, frozen=True):
    """A track was played: its file, and how many seconds ago that handle was opened, and was a play."""

    object_id: int
    opened_s: float
    played_s: float


class Listening:
    """The handles on tracks that may be played."""

    def __init__(self, clock: Clock, duration_of: Callable[[Node], float | None]) -> None:
        """``duration_of`` says how long a file plays in seconds, 0 if that is not known; None if its plays do not count."""
        self._clock = clock
        self._duration_of = duration_of
        self._hearings: dict[int, Hearing] = {}
        self._next = 0
        self._played: dict[int, float] = {}  # object -> when it was last a play; the oldest first

    def begin(self, node: Node, pid: int) -> Hearing:
        """A file is opened, by this process. Does not block."""
        hearing = Hearing(node, pid, self._clock.monotonic())
        self._next += 1
        self._hearings[self._next] = hearing
        return hearing

    def end(self, hearing: Hearing) -> None:
        """Its handle is closed. Does not block."""
        hearing.closed_at = self._clock.monotonic()

    def look(self) -> list[Heard]:
        """What has become a play since the last time. Call it about once a second; asks for durations, which may block."""
        now = self._clock.monotonic()
        hearings = list(self._hearings.items())  # handlers go on meanwhile
        of_process = Counter(one.pid for _, one in hearings if not one.closed_at and now - one.opened_at >= _GLANCE_S)
        heard = []
        for number, hearing in hearings:
            at = hearing.closed_at or now
            counts = of_process[hearing.pid] <= _MOST_OF_A_PROCESS and self._is_candidate(hearing, at)
            if counts and hearing.is_play(at):
                if self._is_new(hearing, at):
                    heard.append(Heard(hearing.node.ref, now - hearing.opened_at, now - at))
                counts = False
            if hearing.closed_at or (not counts and at - hearing.opened_at >= _GLANCE_S):
                del self._hearings[number]
        return heard

    def _is_candidate(self, hearing: Hearing, at: float) -> bool:
        """Whether a handle was open long enough to be asked about, and is on a track."""
        if at - hearing.opened_at < _GLANCE_S:
            return False
        if hearing.duration_s < 0:
            duration_s = self._duration_of(hearing.node)
            if duration_s is None:
                return False
            hearing.duration_s = duration_s
        return True

    def _is_new(self, hearing: Hearing, at: float) -> bool:
        """Whether this is not what another handle has told already: some players open a track twice, or by parts."""
        before = self._played.pop(hearing.node.ref, None)
        window_s = max(hearing.duration_s / 2, hearing.duration_s - _PLAYER_AHEAD_S)
        is_new = before is None or (hearing.opened_at > before and at - before >= window_s)
        self._played[hearing.node.ref] = at if is_new or before is None else before
        if len(self._played) > _REMEMBERED:
            del self._played[next(iter(self._played))]
        return is_new


def duration_of(catalog: Catalog, node: Node) -> float | None:
    """What :class:`Listening` asks for: None for all but whole tracks in their own folders."""
    if node.kind != NodeKind.OBJECT or node.start:
        return None
    folder = catalog.node(node.parent)
    record = catalog.object(node.ref)
    if record is None or record.kind == ObjectKind.SIDECAR or (folder is not None and folder.name == VERSIONS_NAME):
        return None
    facts = unpack_stored(record.facts)
    return facts.technical.duration_ms / 1000 if facts is not None else None
