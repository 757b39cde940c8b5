"""A room as its participants are told it: JSON for pages, a snapshot for the compositor."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from headwater.meetings.rooms.room import Participant, Room, Source
from headwater.meetings.tap import ParticipantView, RoomSnapshot, SourceView
from headwater.rooms import Admission, Permissions


def state(room: Room, participants: Any, me: Participant) -> dict[str, Any]:
    """What `event: state` holds for one participant (docs/meetings.md).

    Args:
        participants: `listed(room)`, or that encoded: the same for everybody.
    """
    return {
        "me": {
            **listed_one(me),
            "audio": me.audio,
            "video": me.video,
            "permissions": _permissions(me.admission.permissions),
        },
        "title": room.title,
        "participants": participants,
        "speaking": room.speaking,
        "livestream": room.livestream,
    }


def listed(room: Room) -> list[dict[str, Any]]:
    """Everybody inside, in the order in which they came."""
    return [listed_one(each) for each in room.participants.values()]


def listed_one(participant: Participant) -> dict[str, Any]:
    admission = participant.admission
    sources = {name: participant.sends(name) for name in participant.sources}
    return {
        "id": participant.id,
        "name": admission.name,
        "picture": admission.picture,
        "preset": admission.preset,
        "joined_at": datetime.fromtimestamp(participant.joined_ms / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z"),
        "sources": {name: _source(source) for name, source in sources.items() if source is not None},
    }


def introduction(admission: Admission, inside: Collection[str]) -> dict[str, Any]:
    """What somebody is told before they come in.

    Args:
        inside: Ids of who is in the room.
    """
    return {
        "id": admission.participant_id,
        "name": admission.name,
        "picture": admission.picture,
        "preset": admission.preset,
        "title": admission.title,
        "permissions": _permissions(admission.permissions),
        "participants": len(inside),
        "inside": admission.participant_id in inside,
    }


def _source(source: Source) -> dict[str, Any]:
    return {"audio": source.audio, "video": source.video, "stream": source.stream}


def _permissions(allowed: Permissions) -> dict[str, bool]:
    return {
        "audio": allowed.audio,
        "video": allowed.video,
        "screen": allowed.screen,
        "kick": allowed.kick,
        "mute_others": allowed.mute_others,
        "livestream": allowed.livestream,
    }


def snapshot(room: Room) -> RoomSnapshot:
    """The room for a broadcast."""
    return RoomSnapshot(
        room.title,
        tuple(
            ParticipantView(
                each.id, each.admission.name, camera=_view(each.sends("camera")), screen=_view(each.sends("screen"))
            )
            for each in room.participants.values()
        ),
        room.speaking,
    )


def _view(source: Source | None) -> SourceView:
    return SourceView() if source is None else SourceView(source.audio, source.video)
