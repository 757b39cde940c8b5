"""What every route works with."""

from __future__ import annotations

from collections.abc import Callable

from headwater.control.broadcasts import Broadcasts, NoBroadcasts
from headwater.control.database import Database
from headwater.control.downloads import Links
from headwater.control.files import Files, NoFiles
from headwater.control.listener import EventWriter
from headwater.control.meeting_livestreams import MeetingLivestreams
from headwater.control.participant_tokens import TokenKey
from headwater.control.urls import Urls
from headwater.control.webhooks.dispatcher import Dispatcher
from headwater.rooms import NoRooms, Rooms

SETTLE_S = 2.0
"""How long an answer waits for events that have just happened to be durable; then it shows what is."""


class Service:
    """The parts of the control plane that routes call.

    Attributes:
        broadcasts: Who runs the open sessions.
        files: Who has the recordings' files.
        node: This server's name.
        webhooks: Who delivers events; to be woken when some were stored (`changed` does).
        links, link_ms: Download links, and how long they hold.
        rooms: Who runs the open rooms of meetings.
        meeting_livestreams: Starts and stops the livestreams of meetings.
        token_key, token_ms: What participants' tokens are signed by, and how long they hold.
        changed: To be called after the change of a livestream, so that nobody is admitted by an old answer.
        tokens_changed: To be called after a token was revoked, likewise.
    """

    def __init__(
        self,
        database: Database,
        urls: Urls,
        events: EventWriter,
        changed: Callable[[], None],
        *,
        node: str,
        links: Links,
        link_ms: int,
        webhooks: Dispatcher,
        meeting_livestreams: MeetingLivestreams,
        token_key: TokenKey,
        token_ms: int,
    ) -> None:
        self.database = database
        self.urls = urls
        self.events = events
        self.webhooks = webhooks
        self.changed = changed
        self.tokens_changed: Callable[[], None] = lambda: None
        self.broadcasts: Broadcasts = NoBroadcasts()
        self.files: Files = NoFiles()
        self.node = node
        self.links = links
        self.link_ms = link_ms
        self.rooms: Rooms = NoRooms()
        self.meeting_livestreams = meeting_livestreams
        self.token_key = token_key
        self.token_ms = token_ms

    async def settled(self) -> None:
        """Events that have been emitted are in the database now, or it is too slow to wait for."""
        await self.events.settle(SETTLE_S)
