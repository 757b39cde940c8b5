"""Participants of a meeting as the API takes and shows them, in the product's own shapes."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from headwater.control.api.schemas import NAME_LIMIT, IsoTime

PARTICIPANTS_LIMIT = 10_000
"""Participants of one meeting, whether or not they ever come; more is a mistake in somebody's loop."""

PICTURE_LIMIT = 2048
"""Characters of a picture's URL: as much as every HTTP server takes in a request line."""

CustomId = Annotated[
    str,
    Meta(
        min_length=1, max_length=NAME_LIMIT, description="Your own id of the participant; one of a kind in a meeting."
    ),
]
PresetName = Annotated[str, Meta(min_length=1, max_length=NAME_LIMIT, description="Name of the preset to apply.")]
Name = Annotated[str, Meta(max_length=NAME_LIMIT, description="Shown to the others.")]
Picture = Annotated[
    str,
    Meta(
        max_length=PICTURE_LIMIT,
        description="URL of a picture, http or https.",
        extra_json_schema={"format": "uri"},
    ),
]


class ParticipantBody(Struct):
    """Somebody who may come into a meeting."""

    custom_participant_id: CustomId
    preset_name: PresetName
    name: Name | None = None
    picture: Picture | None = None


class EditParticipant(Struct):
    """What is not given stays; so does a preset that is null. A null name or picture is removed."""

    preset_name: PresetName | UnsetType | None = UNSET
    name: Name | UnsetType | None = UNSET
    picture: Picture | UnsetType | None = UNSET


class Participant(Struct, omit_defaults=True):
    id: str
    created_at: IsoTime
    updated_at: IsoTime
    custom_participant_id: str
    preset_name: str
    name: str | None
    picture: str | None


class ParticipantWithToken(Struct, omit_defaults=True):
    """`token` lets its holder into the meeting: it is shown here and never again."""

    id: str
    created_at: IsoTime
    updated_at: IsoTime
    custom_participant_id: str
    preset_name: str
    name: str | None
    picture: str | None
    token: str


class DeletedParticipant(Struct):
    created_at: IsoTime
    updated_at: IsoTime
    custom_participant_id: str
    preset_id: str


class Token(Struct):
    token: str
