"""All settings in one place, and the keys that they have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, get_type_hints

from headwater.config.server import ServerSettings
from headwater.control.retention import RecordingSettings
from headwater.control.settings import ControlSettings
from headwater.control.webhooks.settings import WebhookSettings
from headwater.meetings.compositor.settings import CompositorSettings
from headwater.meetings.rooms.settings import RoomSettings
from headwater.pipeline.ingest.settings import IngestSettings
from headwater.pipeline.livestream import LivestreamSettings
from headwater.pipeline.origin.experience import ExperienceSettings
from headwater.pipeline.origin.settings import OriginSettings
from headwater.pipeline.packager.settings import PackagerSettings
from headwater.pipeline.recorder.writer import WriterSettings
from headwater.pipeline.store import StoreSettings
from headwater.telemetry.settings import TelemetrySettings
from headwater.webrtc.settings import WebRtcSettings

SHARED: dict[str, str] = {
    "control.data_dir": "server.data",
    "control.database_url": "server.database_url",
    "control.public_url": "server.public_url",
    "control.public_rtmp_url": "server.public_rtmp_url",
    "control.record": "livestream.record",
    "control.reconnect_window_s": "livestream.reconnect_window_s",
}
"""Keys of a stage that have no spelling of their own: they follow another key, so that nobody says a thing twice."""

SECRET = frozenset(
    {
        "server.database_url",
        "store.access_key_id",
        "store.secret_access_key",
        "webrtc.turn_credential",
        "webrtc.turn_secret",
    }
)
"""Values that an error message must not repeat: a database URL holds a password."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that an operator can set, by stage."""

    server: ServerSettings = field(default_factory=ServerSettings)
    ingest: IngestSettings = field(default_factory=IngestSettings)
    webrtc: WebRtcSettings = field(default_factory=WebRtcSettings)
    rooms: RoomSettings = field(default_factory=RoomSettings)
    compositor: CompositorSettings = field(default_factory=CompositorSettings)
    livestream: LivestreamSettings = field(default_factory=LivestreamSettings)
    packager: PackagerSettings = field(default_factory=PackagerSettings)
    origin: OriginSettings = field(default_factory=OriginSettings)
    experience: ExperienceSettings = field(default_factory=ExperienceSettings)
    recorder: WriterSettings = field(default_factory=WriterSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    recordings: RecordingSettings = field(default_factory=RecordingSettings)
    control: ControlSettings = field(default_factory=lambda: ControlSettings(ServerSettings().data))
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    webhooks: WebhookSettings = field(default_factory=WebhookSettings)


@dataclass(frozen=True, slots=True)
class Key:
    """One setting.

    Attributes:
        section: The field of `Settings`, and the section of the TOML file.
        name: The field of the section's dataclass.
        hint: Its type.
        default: Its default.
        description: From the dataclass's docstring.
    """

    section: str
    name: str
    hint: Any
    default: object
    description: str

    @property
    def path(self) -> str:
        return f"{self.section}.{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable."""
        middle = "" if self.section == "server" else f"{self.section.upper()}_"
        return f"HEADWATER_{middle}{self.name.upper()}"


def sections() -> dict[str, Any]:
    """The dataclass of each section, in the order of `Settings`."""
    return dict(get_type_hints(Settings))


def keys() -> dict[str, Key]:
    """Every key that may be set, by its path, in the order of the file."""
    found = {}
    for section, cls in sections().items():
        described = attribute_docs(cls.__doc__ or "")
        hints = get_type_hints(cls)
        for entry in fields(cls):
            key = Key(section, entry.name, hints[entry.name], _default(entry), described.get(entry.name, ""))
            if key.path not in SHARED:
                found[key.path] = key
    return found


def attribute_docs(docstring: str) -> dict[str, str]:
    """The `Attributes:` of a docstring: name to text, lines joined."""
    return dict(_attributes(docstring))


def _attributes(docstring: str) -> Iterator[tuple[str, str]]:
    _, found, block = docstring.partition("Attributes:\n")
    if not found:
        return
    lines = block.split("\n")
    indent = len(lines[0]) - len(lines[0].lstrip())
    name, text = "", ""
    for line in lines:
        depth = len(line) - len(line.lstrip())
        if line.strip() and depth < indent:
            break
        if depth == indent and line.strip():
            if name:
                yield name, text
            name, _, text = line.strip().partition(": ")
        elif line.strip():
            text += " " + line.strip()
    if name:
        yield name, text


def _default(entry: Field[Any]) -> object:
    if entry.default is not MISSING:
        return entry.default
    return entry.default_factory() if entry.default_factory is not MISSING else None
