"""One source of one participant (camera, or screen), and everybody who receives it.

It outlives its publisher's connection for a while: who publishes anew, after a reload or on another device, goes on
before the same receivers, unless the codecs are others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from headwater.meetings.rooms.clock import Clock
from headwater.meetings.rooms.publication import Publication
from headwater.meetings.rooms.room import Participant, SourceName
from headwater.meetings.rooms.settings import RoomSettings
from headwater.meetings.rooms.subscription import Subscription
from headwater.webrtc.media import Codec, Kind, Outgoing, Policy
from headwater.webrtc.peer import DELETED, GOODBYE, NOT_HEARD

Ending: TypeAlias = Literal["wanted", "ours", "lost"]
"""Who ended a connection: its participant, who said so; this server; or nobody: it was not heard any more."""

PacketTap = Callable[[Kind, Codec, bytes], None]
CompoundTap = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Tapping:
    """Who takes a copy of a source's packets."""

    rtp: PacketTap
    rtcp: CompoundTap


class StreamOwner(Protocol):
    """Who is told of a source: `open_room.OpenRoom`."""

    def peer_ended(self, stream: SourceStream, receiver: str | None, reason: str) -> None:
        """A connection has ended by itself: the publisher's, or that of a receiver; for the log."""

    def published(self, stream: SourceStream, *, same: bool) -> None:
        """A publisher is connected; `same`: codecs as before."""

    def unpublished(self, stream: SourceStream, publication: Publication, ending: Ending) -> None:
        """A publisher's connection has ended."""

    def unsubscribed(self, subscription: Subscription, ending: Ending) -> None:
        """A receiver's connection has ended."""

    def heard(self, participant: Participant, level_db: int, now: float) -> None:
        """A level of sound. Hot."""


def ending(reason: str) -> Ending:
    """Who ended a connection, from what its peer says of it."""
    if reason in (GOODBYE, DELETED):
        return "wanted"
    return "lost" if reason.startswith(NOT_HEARD) else "ours"


class SourceStream:
    """A source and its receivers.

    Attributes:
        publication: Connected; None while there is none.
        subscriptions: Everybody who asked for it, connected or not yet.
        tapping: Who takes copies.
        idle_since_s: When the last publisher went; None while there is one.
    """

    def __init__(
        self, owner: StreamOwner, participant: Participant, source: SourceName, clock: Clock, settings: RoomSettings
    ) -> None:
        self.participant = participant
        self.source: SourceName = source
        self.publication: Publication | None = None
        self.subscriptions: set[Subscription] = set()
        self.tapping: tuple[Tapping, ...] = ()
        self.idle_since_s: float | None = clock.monotonic()
        self._taps: tuple[PacketTap, ...] = ()
        self._owner = owner
        self._clock = clock
        self._settings = settings
        self._codecs: dict[Kind, str] = {}

    def policy(self) -> Policy:
        """What a receiver is offered: the codecs that the publisher sends."""
        assert self.publication is not None, "there is nothing to receive"
        name = f"{self.participant.id}-{self.source}"
        return Policy(
            send=[
                Outgoing(
                    kind, track.codec.name, name, f"{name}-{kind}", parameters=track.codec.parameters, optional=True
                )
                for kind, track in self.publication.tracks.items()
            ]
        )

    # -- PublicationOwner

    def opened(self, publication: Publication) -> None:
        before, self.publication = self.publication, publication
        self.idle_since_s = None
        if before is not None and before is not publication:
            before.peer.close("another connection of the same participant took over")
            self._owner.unpublished(self, before, "ours")
        codecs = {kind: track.codec.name for kind, track in publication.tracks.items()}
        same, self._codecs = codecs == self._codecs, dict[Kind, str](codecs)
        if not same:
            self.dismiss("the publisher's codecs are others now: ask again")
        for subscription in self.subscriptions:
            if subscription.peer.state == "connected":
                self._attach(subscription)
        self._owner.published(self, same=same)
        publication.keyframe()

    def ended(self, publication: Publication, reason: str) -> None:
        if publication is self.publication:
            self.publication = None
            self.idle_since_s = self._clock.monotonic()
        self._owner.peer_ended(self, None, reason)
        self._owner.unpublished(self, publication, ending(reason))

    def heard(self, level_db: int, now: float) -> None:
        if self.source == "camera":
            self._owner.heard(self.participant, level_db, now)

    def taps(self) -> Sequence[PacketTap]:
        return self._taps

    def rtcp_taps(self) -> Iterable[CompoundTap]:
        return (tapping.rtcp for tapping in self.tapping)

    def tap(self, tapping: tuple[Tapping, ...]) -> None:
        """Who takes copies from now on."""
        self.tapping = tapping
        self._taps = tuple(each.rtp for each in tapping)

    # -- SubscriptionOwner

    def joined(self, subscription: Subscription) -> None:
        if self.publication is not None and subscription in self.subscriptions:
            self._attach(subscription)
            self.keyframe()

    def _attach(self, subscription: Subscription) -> None:
        assert self.publication is not None
        for kind, track in subscription.tracks.items():
            upstream = self.publication.tracks.get(kind)
            if upstream is not None and track not in upstream.downstreams:
                upstream.attach(track)

    def left(self, subscription: Subscription, reason: str) -> None:
        self.drop(subscription)
        self._owner.peer_ended(self, subscription.receiver, reason)
        self._owner.unsubscribed(subscription, ending(reason))

    def drop(self, subscription: Subscription) -> None:
        """Send it nothing any more."""
        self.subscriptions.discard(subscription)
        if self.publication is not None:
            for kind, track in subscription.tracks.items():
                upstream = self.publication.tracks.get(kind)
                if upstream is not None:
                    upstream.detach(track)

    def keyframe(self) -> None:
        if self.publication is not None:
            self.publication.keyframe()

    # -- its owner's

    def dismiss(self, reason: str) -> None:
        """End every receiver's connection."""
        for subscription in list(self.subscriptions):
            self.drop(subscription)
            subscription.peer.close(reason)
            self._owner.unsubscribed(subscription, "ours")

    def mute(self) -> None:
        """Send on what the participant lets others see and hear now."""
        if self.publication is None:
            return
        camera = self.source == "camera"
        for kind, track in self.publication.tracks.items():
            me = self.participant
            sound, picture = (me.audio, me.video) if camera else (me.may_unmute, True)
            on = sound if kind == "audio" else picture
            if track.paused == on:
                track.pause(not on)

    def tick(self, now: float) -> None:
        """Many times a second."""
        if self.publication is not None:
            self.publication.tick(now)

    def report(self, now: float) -> None:
        """Once a second: to the publisher how it arrives, to receivers which time it is."""
        publication = self.publication
        if publication is None:
            return
        publication.report(now, self._bits_per_s(now))
        ntp = self._clock.ntp()
        for subscription in self.subscriptions:
            if subscription.peer.state == "connected":
                subscription.report(publication.tracks, ntp)

    def _bits_per_s(self, now: float) -> int:
        """What may come: the most that makes sense, or what the weakest receiver takes, but never too little."""
        most = self._settings.most_bps(self.source)
        bounds = [bound for each in self.subscriptions if (bound := each.weigh(most, now)) is not None]
        return round(max(self._settings.least_bps, min([most, *bounds])))
