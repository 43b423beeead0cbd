"""The proof of a corrected file by programs that know nothing of MusicFS: it says the edit, and of all else what it said."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from musicfs.errors import FormatError
from musicfs.formats.plans import Edit, Plan
from musicfs.formats.plans import Image as Cover
from musicfs.model import Facts
from musicfs.testing.images import make_jpeg, make_png
from tests.formats import witnesses
from tests.formats.reading import read_path
from tests.formats.splices import overlaid, spliced
from tests.formats.witnesses import Image, Reading

JPEG = make_jpeg("blue", size_bytes=90_000)
PNG = make_png(1, width=8, height=8)
EDITS: Mapping[str, Edit] = {
    "one": Edit({"title": ("Tōkyō 東京 ♪",)}),
    "several": Edit(
        {
            "artist": ("Åsa", "Борис"),
            "album": ("Ein längerer Name für ein Album als die meisten haben",),
            "genre": ("Rock", "Ambient Dub"),
            "composer": ("A", "B"),
            "date": ("1999-03-02",),
            "my tag": ("v",),
        }
    ),
    "removed": Edit({"title": (), "artist": (), "genre": (), "comment": (), "date": ()}),
    "numbers": Edit({"track": ("7",), "track_total": ("23",), "disc_total": ("4",)}),
    "lyrics": Edit({"lyrics": ("la la la ♪\n" * 8000,), "comment": ("short",)}),
    "jpeg": Edit({}, Cover(JPEG, "image/jpeg", 64, 64, 24)),
    "png": Edit({"album": ("x",)}, Cover(PNG, "image/png", 8, 8, 24)),
    "no cover": Edit({}, remove_cover=True),
}
_CODINGS = ("latin-1", "utf-8")
_PAIRS = {"track": "track_total", "track_total": "track", "disc": "disc_total", "disc_total": "disc"}


class Proof:
    """Proves edits of one file. ``tolerated`` names checks (``ffprobe rest``) that are known to fail, and must."""

    def __init__(self, original: Path, folder: Path, tolerated: Collection[str] = ()) -> None:
        self.original = original
        self.own = read_path(original)
        self._folder = folder
        self._tolerated = set(tolerated)
        self._data = original.read_bytes()
        container = self.own.layout.container
        self._readings = {
            "mutagen": witnesses.by_mutagen(original, container),
            "ffprobe": witnesses.by_ffprobe(original),
            "taglib": witnesses.by_taglib(original),
        }
        self._hashes = witnesses.audio_hashes(original)
        self._is_clean = not witnesses.complaints(original, container, self.own.technical.codec)
        self._failed: dict[str, str] = {}

    def blind(self) -> set[str]:
        """The programs that cannot read the original, and those that find it damaged."""
        found = {name for name, reading in self._readings.items() if reading is None}
        if self._hashes is None:
            found.add("ffmpeg")
        return found if self._is_clean else found | {"validator"}

    def prove(self, edits: Mapping[str, Edit]) -> dict[str, str]:
        """Prove each edit; return the refused ones with their reasons."""
        refused = {}
        for name, edit in edits.items():
            try:
                data, plan = spliced(self._data, edit, self.original.name)
            except FormatError as error:
                refused[name] = str(error)
                continue
            path = self._folder / f"{name} {self.original.name}"
            path.write_bytes(data)
            self._prove(path, name, edit, plan)
            path.unlink()
        unexpected = {check: text for check, text in self._failed.items() if check not in self._tolerated}
        assert not unexpected, "\n".join(f"{check}: {text}" for check, text in unexpected.items())
        assert self._failed.keys() == self._tolerated, "no longer deviates: remove it from the table"
        return refused

    def _expect(self, check: str, edit: str, made: object, wanted: object) -> None:
        if made != wanted:
            self._failed.setdefault(check, f"(edit {edit}) is {_short(made)}, should be {_short(wanted)}")

    def _prove(self, path: Path, name: str, edit: Edit, plan: Plan) -> None:
        made = read_path(path)
        wanted = overlaid(self.own, edit, plan)
        self._expect("reader", name, made.tags, wanted)
        self._expect("unfit", name, plan.unfit, {})
        container = self.own.layout.container
        if container != "ogg":  # whose pages are numbered anew
            self._expect("audio bytes", name, _audio(path.read_bytes(), made) == _audio(self._data, self.own), True)
        self._compare_id3v1(name, edit, witnesses.id3v1(path), wanted)
        for program, reading in (
            ("mutagen", witnesses.by_mutagen(path, container)),
            ("ffprobe", witnesses.by_ffprobe(path)),
            ("taglib", witnesses.by_taglib(path)),
        ):
            before = self._readings[program]
            if before is not None:
                assert reading is not None, f"{program} reads {self.original.name} no more with the edit {name}"
                self._compare(program, name, edit, before, reading, wanted)
        if self._hashes is not None:
            self._expect("audio", name, witnesses.audio_hashes(path), self._hashes)
        if self._is_clean:
            self._expect("validator", name, witnesses.complaints(path, container, self.own.technical.codec), [])

    def _compare(
        self, program: str, name: str, edit: Edit, before: Reading, made: Reading, wanted: Mapping[str, Sequence[str]]
    ) -> None:
        touched = {*edit.fields, *(_PAIRS[field] for field in edit.fields if field in _PAIRS)}
        hidden = touched | {f"ape:{field}" for field in touched}
        if before.system is not None:
            self._expect(f"{program} system", name, made.system, before.system)
        if self._is_newly_shown(program, before):
            for field in sorted(self.own.tags.keys() - touched):
                for shown in made.said({field})[field]:
                    self._expect(f"{program} {field}", name, shown, _as_shown(program, self.own.tags[field], shown))
        elif program == "mutagen":
            self._expect("mutagen rest", name, made.rest(hidden), before.rest(hidden))
        else:  # which have no order of their own
            self._expect(f"{program} rest", name, sorted(made.rest(hidden)), sorted(before.rest(hidden)))
        said = made.said(touched)
        for field in sorted(touched):
            values = list(wanted.get(field, ()))
            for shown in made.said({f"ape:{field}"})[f"ape:{field}"]:
                self._expect(f"ape {field}", name, shown, values)
            for shown in said[field] or [[]]:
                joined = (
                    [[values[0]], [";".join(values)], ["; ".join(values)]] if program == "ffprobe" and values else []
                )
                self._expect(f"{program} {field}", name, shown, shown if shown in joined else values)
        self._expect(f"{program} others", name, made.others, before.others)
        if program == "mutagen":
            images = list(before.images)
            if edit.cover is not None or edit.remove_cover:
                images = witnesses.with_cover(images, _image(edit.cover), kinds=self.own.layout.container != "mp4")
            self._expect("mutagen pictures", name, list(made.images), images)

    def _compare_id3v1(self, name: str, edit: Edit, made: dict[str, str], wanted: Mapping[str, Sequence[str]]) -> None:
        """What the old tag has of an edited field is the beginning of it, in UTF-8 where Latin-1 cannot write it."""
        before = witnesses.id3v1(self.original)
        kept = {field: text for field, text in before.items() if field not in edit.fields}
        self._expect(
            "id3v1 rest", name, {field: text for field, text in made.items() if field not in edit.fields}, kept
        )
        for field in edit.fields.keys() & made.keys():
            text = ", ".join(wanted.get(field, ()))
            begins = any(
                text.encode(coding, "replace").startswith(made[field].encode("latin-1")) for coding in _CODINGS
            )
            self._expect(f"id3v1 {field}", name, made[field] if not begins or not text else "", "")

    def _is_newly_shown(self, program: str, before: Reading) -> bool:
        """Whether what the file says becomes visible to a program by the tag it gets, where it says it elsewhere as yet."""
        container = self.own.layout.container
        if not self.own.tags or container not in ("mp3", "adts", "wav", "aiff"):
            return False
        return before.system is None if program == "mutagen" else not any(before.said(self.own.tags).values())


def _as_shown(program: str, values: Sequence[str], shown: list[object]) -> list[object]:
    """The values as a program shows them: ffprobe has one text a field, the first or all of them."""
    if program == "ffprobe" and values and shown in ([values[0]], [";".join(values)], ["; ".join(values)]):
        return shown
    return list(values)


def _audio(data: bytes, facts: Facts) -> bytes:
    return data[facts.layout.audio_start : facts.layout.audio_stop]


def _image(cover: Cover | None) -> Image | None:
    return Image(3, cover.mime, cover.data) if cover is not None else None


def _short(value: object) -> str:
    text = re.sub(r"(la la la ♪(\\n|\n)?)+", "LA", repr(value))
    return re.sub(r"(b?['\"]|\\x..)[^'\"\s]{300,}", r"\1...", text)[:3000]


def unread(files: Iterable[Path]) -> tuple[dict[str, Facts], dict[str, str]]:
    """The files that are read, with their facts, and those that are not, with the reasons."""
    facts: dict[str, Facts] = {}
    reasons: dict[str, str] = {}
    for path in files:
        try:
            facts[path.name] = read_path(path)
        except FormatError as error:
            reasons[path.name] = str(error)
    return facts, reasons
