"""The sample practice, alive: a home of its own, a clock that can be moved, files that arrive as it passes their names.

The days before the demo opens are replayed through the real parts: each report lands in its folder when its name says so, each
scripted press goes through the assistant, each due row is met by a sweep. Nothing in the history is made up beside them.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from zoneinfo import ZoneInfo

from sqlmodel import col, select

from bot import assistant, items, nudges, sweep
from bot.app import Holdfast
from bot.chat import Press
from bot.hours import digest_at
from bot.records import Mark, Nudge, read, write
from bot.settings import Settings

SAMPLE = Path(__file__).parent / "sample"
STARTER = Path(__file__).parent.parent / "knowledge" / "starter"
_STAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{4}")
Progress = Callable[[float], None]


class DemoClock:
    """Runs at the speed of time from wherever it was put, and is put forward by hand."""

    def __init__(self, at: datetime) -> None:
        self._at, self._since = at, monotonic()
        self._held = True

    def now(self) -> datetime:
        return self._at if self._held else self._at + timedelta(seconds=monotonic() - self._since)

    def put(self, at: datetime) -> None:
        """Stand at `at`; never backwards."""
        self._at = max(at, self.now())
        self._since = monotonic()

    def run(self) -> None:
        """Let the time pass."""
        self._since, self._held = monotonic(), False


@dataclass(frozen=True)
class Scene:
    """One press of the history."""

    at: datetime
    person: str
    press: str
    rule: str
    about: str
    note: str = ""


@dataclass
class Story:
    """The sample's script: when it begins, when the demo opens, what arrives and what people pressed."""

    begins: datetime
    start: datetime
    scenes: tuple[Scene, ...]
    files: list[tuple[datetime, Path]] = field(default_factory=list)


def tell(folder: Path = SAMPLE) -> Story:
    """The story of a sample folder, in order of time."""
    data = tomllib.loads((folder / "scenes.toml").read_text("utf-8"))
    zones = _zones(folder)
    scenes = [
        Scene(s["at"].astimezone(UTC), s["person"], s["press"], s["rule"], s["about"], s.get("note", "")) for s in data["scene"]
    ]
    files = [(at, path) for path in (folder / "exports").rglob("*") if path.is_file() and (at := _arrives(path, zones))]
    return Story(
        data["begins"].astimezone(UTC), data["start"].astimezone(UTC), tuple(sorted(scenes, key=lambda s: s.at)), sorted(files)
    )


def _zones(folder: Path) -> dict[str, ZoneInfo]:
    sites = tomllib.loads((folder / "practice.toml").read_text("utf-8"))["sites"]
    return {name: ZoneInfo(site["time_zone"]) for name, site in sites.items()}


def _arrives(path: Path, zones: dict[str, ZoneInfo]) -> datetime | None:
    """When a report lands: the local instant in its name, in the zone of the site its folder begins with."""
    stamp = _STAMP.search(path.stem)
    zone = zones.get(path.parent.name.split("-")[0])
    if stamp is None or zone is None:
        return None
    return datetime.strptime(stamp.group(), "%Y-%m-%dT%H%M").replace(tzinfo=zone).astimezone(UTC)


class Demo(Holdfast):
    """The sample practice as an installation whose clock can be skipped forward."""

    can_skip = True
    page_for_all = True
    is_silent = True  # until it is open: the history is not for anybody's chat

    def __init__(self, settings: Settings, story: Story | None = None) -> None:
        self.story = story or tell()
        self.demo_clock = DemoClock(self.story.begins)
        super().__init__(settings, self.demo_clock)

    def open(self, progress: Progress | None = None) -> None:
        """Make the home, replay the history up to the start, and let the clock run. An opened home goes on where it was."""
        with read(self.engine) as session:
            kept = session.get(Mark, "demo clock")
        if kept is not None:
            self.demo_clock.put(kept.at)
        else:
            self._furnish()
        self._advance(max(self.story.start, self.now()), progress)
        self._keep_clock()
        self.is_silent = False
        self.demo_clock.run()

    def _furnish(self) -> None:
        """The files a practice would write by hand, and the starter library, published."""
        for name in ("practice.toml", "feeds.toml"):
            shutil.copyfile(SAMPLE / name, self.home / name)
        shutil.copytree(SAMPLE / "maps", self.home / "maps", dirs_exist_ok=True)
        for folder in (SAMPLE / "exports").iterdir():
            (self.home / "exports" / folder.name).mkdir(parents=True, exist_ok=True)
        self.ingest([STARTER], publish=True, by="olu", now=self.story.begins)

    def skip(self, to: datetime) -> None:
        """Move the clock forward to `to`, sweeping at every instant on the way at which something happens."""
        self._advance(max(to, self.now()))
        self._keep_clock()

    def live(self) -> None:
        """What the ticker does: reports arrive as the clock passes them, then a sweep; the clock is remembered."""
        now = self.now()
        self._arrive(now)
        self.tick(now)
        self._keep_clock()

    def _keep_clock(self) -> None:
        with write(self.engine) as session:
            session.merge(Mark(name="demo clock", value="", at=self.now()))

    def _advance(self, to: datetime, progress: Progress | None = None) -> None:
        with read(self.engine) as session:
            opened = session.get(Mark, "demo clock") is not None
        scenes = [s for s in self.story.scenes if not opened]
        at = self.now()
        self.tick(at, self._arrive(at))
        while at < to:
            at = min(self._next(at, scenes), to)
            self.demo_clock.put(at)
            self.tick(at, self._arrive(at))
            for scene in [s for s in scenes if s.at <= at]:
                scenes.remove(scene)
                self._play(scene)
            if progress:
                progress((at - self.story.begins) / (to - self.story.begins))

    def _next(self, at: datetime, scenes: Sequence[Scene]) -> datetime:
        """The next instant after `at` at which a report lands, a scene plays, a row falls due, or a stand-up goes out."""
        moments = [arrives for arrives, _ in self.story.files if arrives > at][:1]
        moments += [s.at for s in scenes if s.at > at][:1]
        moments += [due for due in [sweep.next_moment(self.engine, at)] if due]
        moments += self._standups(at)
        return min(moments, default=at + timedelta(days=1))

    def _standups(self, at: datetime) -> Iterator[datetime]:
        for site in self.practice.sites.values():
            day = at.astimezone(site.zone).date()
            goes_out = (digest_at(site, day + timedelta(days=n), sweep.BEFORE_OPENING) for n in range(8))
            yield from [moment for moment in goes_out if moment and moment > at][:1]

    def _arrive(self, now: datetime) -> set[str]:
        """Put every report into its folder whose instant has come; the feeds that got one (a folder is named as its feed)."""
        feeds = set()
        while self.story.files and self.story.files[0][0] <= now:
            _, path = self.story.files.pop(0)
            target = self.home / "exports" / path.parent.name / path.name
            if not target.exists():
                shutil.copyfile(path, target)
            feeds.add(path.parent.name)
        return feeds

    def _play(self, scene: Scene) -> None:
        """One scripted press, through the assistant like any other."""
        target = self._target(scene)
        if target is None:
            return
        key = f"scene:{scene.at.isoformat()}:{scene.person}:{scene.press}:{scene.about}"
        press = Press(scene.person, scene.press, target, key, scene.at, scene.note)
        assistant.press(self.engine, self.house, self.library, press)
        sweep.deliver(self.round(), scene.at)

    def _target(self, scene: Scene) -> str | None:
        """The nudge a scene speaks of, or the exception asked about it."""
        with read(self.engine) as session:
            if scene.press in ("start_review", "leave_review"):
                rule = nudges.REVIEW + scene.rule
                query = select(Nudge).where(col(Nudge.rule) == rule, col(Nudge.site) == scene.about)
            else:
                query = select(Nudge).where(
                    col(Nudge.rule) == scene.rule, col(Nudge.item) == items.by_key(session, scene.about)
                )
            nudge = session.scalars(query.where(col(Nudge.closed_at).is_(None)).order_by(col(Nudge.opened_at).desc())).first()
            if nudge is None:
                return None
            if scene.press in ("approve", "refuse"):
                asked = nudges.exception_of(session, nudge)
                return asked.id if asked else None
            return nudge.id


def settings_for(settings: Settings, home: Path) -> Settings:
    """The same settings with a home of the demo's own, always on SQLite inside it."""
    return replace(settings, home=home, database_url=f"sqlite:///{home / 'holdfast.sqlite'}", tick_s=min(settings.tick_s, 2.0))
