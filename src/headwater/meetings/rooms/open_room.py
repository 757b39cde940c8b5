"""An open room with its media: the session (`room.py`), what its participants send, and who listens to it."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from headwater.errors import LimitReached
from headwater.events import ParticipantJoined, ParticipantLeft, RoomClosed, RoomEvent, RoomListener, RoomOpened
from headwater.meetings.rooms.audience import Audience, Page, Watcher
from headwater.meetings.rooms.clock import Clock
from headwater.meetings.rooms.publication import Publication
from headwater.meetings.rooms.room import Participant, Room, SourceName
from headwater.meetings.rooms.settings import RoomSettings
from headwater.meetings.rooms.source_stream import Ending, SourceStream
from headwater.meetings.rooms.state import listed, state
from headwater.meetings.rooms.subscription import Subscription
from headwater.rooms import Admission
from headwater.webrtc.media import CodecName, Policy
from headwater.webrtc.peer import Acceptor, Peer
from headwater.webrtc.resources import Refused

log = logging.getLogger("headwater.rooms")

VIDEO_CODECS: tuple[CodecName, ...] = ("H264", "VP8")
"""H.264 first: every browser reads it, and a broadcast can pass it through."""

PASS_S = 0.1
"""How often it is looked at who speaks and who is gone: pages are told no sooner."""

REPORT_S = 1.0
"""How often publishers and receivers are told how it goes; browsers expect it about as often."""


@dataclass(eq=False)
class _Media:
    """A participant's streams: what they send, connected or not yet, and what they receive."""

    sends: dict[SourceName, SourceStream] = field(default_factory=dict)
    receives: dict[Subscription, SourceStream] = field(default_factory=dict)
    publishes: dict[Publication, SourceStream] = field(default_factory=dict)

    def peers(self) -> bool:
        """Whether there is any connection still."""
        return bool(self.publishes or self.receives)


class OpenRoom:
    """A room, its media, its pages, its taps. Belongs to the event loop."""

    def __init__(
        self,
        meeting_id: str,
        session_id: str,
        acceptor: Acceptor,
        tell: RoomListener,
        settings: RoomSettings,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._log = logging.LoggerAdapter(log, {"meeting_id": meeting_id, "session_id": session_id})
        self._acceptor = acceptor
        self._tell = tell
        self._settings = settings
        self._clock = clock
        self._media: dict[Participant, _Media] = {}
        self._audience = Audience()
        self._told_version = -1
        self._listed: tuple[int, msgspec.Raw] = (-1, msgspec.Raw(b"[]"))
        self._reported_s = self._passed_s = 0.0
        self.room = Room(meeting_id, session_id, settings, self._happened, new_id, clock.now())

    # -- what happens in the room

    def _happened(self, event: RoomEvent) -> None:
        if isinstance(event, ParticipantLeft):
            self._forget(event)
        self._log.info("%s", in_words(event))
        self._tell(event)

    def _forget(self, event: ParticipantLeft) -> None:
        """Everything of a participant who left goes with them."""
        participant = next((each for each in self._media if each.peer_id == event.peer_id), None)
        media = self._media.pop(participant, None) if participant is not None else None
        if media is not None:
            for subscription, stream in media.receives.items():
                stream.drop(subscription)
                subscription.peer.close(event.reason)
                subscription.release()
            for publication in media.publishes:
                publication.peer.close(event.reason)
                publication.release()
            for stream in media.sends.values():
                stream.publication = None
                stream.dismiss("the participant has left")
        self._audience.dismiss(event.peer_id, event.reason)

    def sync(self) -> None:
        """Tell what has changed; after everything that may have changed something."""
        if self.room.version == self._told_version:
            return
        self._told_version = self.room.version
        for media in self._media.values():
            for stream in media.sends.values():
                stream.mute()
        self._audience.changed()

    def tick(self) -> None:
        """Many times a second."""
        now = self._clock.now()
        if now.s - self._passed_s >= PASS_S:
            self._passed_s = now.s
            self.room.tick(now)
        reporting = now.s - self._reported_s >= REPORT_S
        if reporting:
            self._reported_s = now.s
        for media in list(self._media.values()):
            for stream in list(media.sends.values()):
                stream.tick(now.s)
                if reporting:
                    stream.report(now.s)
                    self._end_idle(stream, now.s)
        self.sync()

    def _end_idle(self, stream: SourceStream, now: float) -> None:
        idle = stream.idle_since_s
        if idle is not None and now - idle >= self._settings.publication_s and stream.subscriptions:
            stream.dismiss("its publisher has stopped")

    # -- peers

    def publish(self, admission: Admission, source: SourceName, offer: str) -> Peer:
        """Answer an offer to publish.

        Raises:
            Refused: 403, the participant may not.
            SdpError, NotServed, LimitReached: see `Acceptor.accept`; the room is full.
        """
        allowed = admission.permissions
        audio, video = allowed.audio, allowed.video
        if source == "screen":
            audio, video = allowed.screen and allowed.audio, allowed.screen
        if not audio and not video:
            raise Refused(403, "ERR_NOT_ALLOWED", f"the role {admission.preset} may not publish a {source}")
        self._check_room(admission)
        publication = Publication(self._clock, secrets.randbits(32), self._settings.most_bps(source))
        policy = Policy(receive_audio=("opus",) if audio else (), receive_video=VIDEO_CODECS if video else ())
        peer = self._acceptor.accept(offer, policy, publication)
        participant = self.room.enter(admission, publication, self._clock.now())
        media = self._media.setdefault(participant, _Media())
        stream = media.sends.get(source)
        if stream is None:
            stream = media.sends[source] = SourceStream(self, participant, source, self._clock, self._settings)
        publication.use(peer, stream)
        self._drop_attempts(media, stream)
        media.publishes[publication] = stream
        self.sync()
        return peer

    def _drop_attempts(self, media: _Media, stream: SourceStream) -> None:
        """Of several attempts to publish a source the newest counts; the others' handshakes are given up."""
        attempts = [each for each, of in media.publishes.items() if of is stream and each.peer.state == "new"]
        for attempt in attempts:
            del media.publishes[attempt]
            attempt.peer.close("a newer attempt of the same participant")
            self.room.unlink(stream.participant, attempt, self._clock.now(), regular=False)
            attempt.release()

    def subscribe(self, admission: Admission, participant_id: str, source: SourceName, offer: str) -> Peer:
        """Answer an offer to receive what another participant publishes.

        Raises:
            Refused: 404, there is nothing to receive.
            SdpError, NotServed, LimitReached: see `Acceptor.accept`; the room is full; rooms.max_subscriptions.
        """
        stream = self._source(participant_id, source)
        if stream is None or stream.publication is None:
            raise Refused(404, "ERR_NOT_PUBLISHED", f"the participant publishes no {source} now")
        self._check_room(admission)
        receiver = self.room.participants.get(admission.participant_id)
        if receiver is not None and len(self._media[receiver].receives) >= self._settings.max_subscriptions:
            raise LimitReached("rooms.max_subscriptions", "too many streams are received at one time")
        subscription = Subscription(self._clock, admission.participant_id)
        peer = self._acceptor.accept(offer, stream.policy(), subscription)
        participant = self.room.enter(admission, subscription, self._clock.now())
        subscription.use(peer, stream, secrets.randbits(15))
        stream.subscriptions.add(subscription)
        self._media.setdefault(participant, _Media()).receives[subscription] = stream
        self.sync()
        return peer

    def _check_room(self, admission: Admission) -> None:
        """Raise LimitReached before anything is made for somebody who cannot come in."""
        if admission.participant_id not in self.room.participants:
            self.room.check_room(admission.participant_id, self._clock.now())

    def _source(self, participant_id: str, source: SourceName) -> SourceStream | None:
        participant = self.room.participants.get(participant_id)
        media = self._media.get(participant) if participant is not None else None
        return media.sends.get(source) if media is not None else None

    # -- StreamOwner

    def peer_ended(self, stream: SourceStream, receiver: str | None, reason: str) -> None:
        whose = f"{stream.source} of {stream.participant.id}"
        self._log.info("%s ended: %s", whose if receiver is None else f"{whose} to {receiver}", reason)

    def published(self, stream: SourceStream, *, same: bool) -> None:
        assert stream.publication is not None
        tracks = stream.publication.tracks
        self.room.publish(
            stream.participant, stream.source, audio="audio" in tracks, video="video" in tracks, same=same
        )
        self._audience.published(stream)
        self.sync()

    def unpublished(self, stream: SourceStream, publication: Publication, ending: Ending) -> None:
        publication.release()
        participant = stream.participant
        media = self._media.get(participant)
        if media is None:
            return  # they have left, and took everything along
        media.publishes.pop(publication, None)
        if stream.publication is None:
            self.room.unpublish(participant, stream.source)
        self._unlink(participant, publication, ending)

    def unsubscribed(self, subscription: Subscription, ending: Ending) -> None:
        subscription.release()
        participant = self.room.participants.get(subscription.receiver)
        if participant is None or self._media[participant].receives.pop(subscription, None) is None:
            return
        self._unlink(participant, subscription, ending)

    def _unlink(self, participant: Participant, link: object, ending: Ending) -> None:
        now = self._clock.now()
        self.room.unlink(participant, link, now, regular=ending == "wanted")
        media = self._media.get(participant)
        last = media is not None and not media.peers()
        if ending == "lost" and last and not self._audience.came_back(participant, now.s):
            # A page may seem open long after its machine has gone; its streams tell.
            self.room.leave(participant, "LOST", now)
        self.sync()

    def heard(self, participant: Participant, level_db: int, now: float) -> None:
        self.room.heard(participant, level_db, now)

    def leave(self, participant: Participant, reason: str) -> None:
        """End a stay."""
        self.room.leave(participant, reason, self._clock.now())
        self.sync()

    # -- pages

    def listen(self, admission: Admission, wake: Callable[[], None]) -> Page:
        """A page that wants to be told; its participant is inside from now on.

        Args:
            wake: To be called when there is something new; another one for each page.

        Raises:
            LimitReached: the room is full, or the participant has too many pages open.
        """
        self.check_page(admission)
        participant = self.room.enter(admission, wake, self._clock.now())
        self._media.setdefault(participant, _Media())
        page = Page(participant, wake, self._clock.monotonic())
        self._audience.pages.add(page)
        self.sync()
        return page

    def check_page(self, admission: Admission) -> None:
        """Whether `listen` would be refused.

        Raises:
            LimitReached: so it would.
        """
        self._check_room(admission)
        if self._audience.pages_of(admission.participant_id) >= self._settings.max_event_streams:
            raise LimitReached("rooms.max_event_streams", "the participant has too many pages open")

    def forget(self, page: Page) -> None:
        """A page does not listen any more."""
        self._audience.pages.discard(page)
        self.room.unlink(page.participant, page.wake, self._clock.now(), regular=False)
        self.sync()

    def state(self, participant: Participant) -> bytes:
        """What a page is told: JSON (docs/meetings.md)."""
        if self._listed[0] != self.room.version:
            self._listed = (self.room.version, msgspec.Raw(msgspec.json.encode(listed(self.room))))
        return msgspec.json.encode(state(self.room, self._listed[1], participant))

    # -- taps

    def watch(self, changed: Callable[[], None], tapped: Callable[[SourceStream], None]) -> Callable[[], None]:
        """Be called at each change, and for each source that is published (now, too). Returns what ends it."""
        watcher = Watcher(changed, tapped)
        self._audience.watchers.append(watcher)
        for stream in self.streams():
            tapped(stream)

        def end() -> None:
            if watcher in self._audience.watchers:
                self._audience.watchers.remove(watcher)

        return end

    def streams(self) -> list[SourceStream]:
        """Everything that is published."""
        return [stream for media in self._media.values() for stream in media.sends.values()]


def in_words(event: RoomEvent) -> str:
    """What happened, for the log; names of people stay out of it."""
    match event:
        case RoomOpened():
            return "meeting session opened"
        case ParticipantJoined():
            return f"participant joined: {event.participant_id} preset={event.preset}"
        case ParticipantLeft():
            return f"participant left: {event.participant_id} reason={event.reason}"
        case RoomClosed():
            return f"meeting session closed: reason={event.reason}"
