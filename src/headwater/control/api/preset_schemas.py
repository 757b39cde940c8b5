"""A preset as the API takes and shows it, in the product's own shapes.

Everything can be left out: what a preset does not say, its role does. All of it is kept and shown; a room goes by the
permissions to publish, to mute, to kick and to livestream.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from headwater.control.api.schemas import NAME_LIMIT, IsoTime

PRESETS_LIMIT = 100
"""Presets of an app; a service has some five roles, and their names fit on one screen."""

Text = Annotated[str, Meta(max_length=1024)]
Name = Annotated[str, Meta(min_length=1, max_length=NAME_LIMIT, description="Name of the preset, unique in its app.")]
Count = Annotated[int, Meta(ge=0, le=1000)] | Annotated[float, Meta(ge=0, le=1000)]
"""A number; the SDKs disagree on whether it is an integer, so whole ones are shown as such, which all of them take."""

Colors = Annotated[dict[Annotated[str, Meta(max_length=16)], Annotated[str, Meta(max_length=64)]], Meta(max_length=16)]
CanProduce = Literal["ALLOWED", "NOT_ALLOWED", "CAN_REQUEST"]
Quality = Literal["hd", "vga", "qvga", "fhd", "uhd"]
Yes = bool | UnsetType


class MaxVideoStreams(Struct, omit_defaults=True):
    desktop: Count | UnsetType = UNSET
    mobile: Count | UnsetType = UNSET


class PresetScreenshare(Struct, omit_defaults=True):
    frame_rate: Count | UnsetType = UNSET
    quality: Quality | UnsetType = UNSET


class PresetVideo(Struct, omit_defaults=True):
    frame_rate: Count | UnsetType = UNSET
    quality: Quality | UnsetType = UNSET
    simulcast: Yes = UNSET


class PresetAudio(Struct, omit_defaults=True):
    enable_high_bitrate: Yes = UNSET
    enable_stereo: Yes = UNSET


class PresetMedia(Struct, omit_defaults=True):
    audio: PresetAudio | UnsetType = UNSET
    screenshare: PresetScreenshare | UnsetType = UNSET
    video: PresetVideo | UnsetType = UNSET


class PresetConfig(Struct, omit_defaults=True):
    max_screenshare_count: Count | UnsetType = UNSET
    max_video_streams: MaxVideoStreams | UnsetType = UNSET
    media: PresetMedia | UnsetType = UNSET
    view_type: Literal["GROUP_CALL", "WEBINAR", "AUDIO_ROOM", "LIVESTREAM"] | UnsetType = UNSET
    livestream_viewer_qualities: Annotated[list[int], Meta(max_length=16)] | UnsetType | None = UNSET


class ChatPrivate(Struct, omit_defaults=True):
    can_receive: Yes = UNSET
    can_send: Yes = UNSET
    files: Yes = UNSET
    text: Yes = UNSET


class ChatPublic(Struct, omit_defaults=True):
    can_send: Yes = UNSET
    files: Yes = UNSET
    text: Yes = UNSET


class PresetChat(Struct, omit_defaults=True):
    private: ChatPrivate | UnsetType = UNSET
    public: ChatPublic | UnsetType = UNSET


class ConnectedMeetings(Struct, omit_defaults=True):
    can_alter_connected_meetings: Yes = UNSET
    can_switch_connected_meetings: Yes = UNSET
    can_switch_to_parent_meeting: Yes = UNSET


class Produce(Struct, omit_defaults=True):
    can_produce: CanProduce | UnsetType = UNSET


class MediaPermissions(Struct, omit_defaults=True):
    audio: Produce | UnsetType = UNSET
    screenshare: Produce | UnsetType = UNSET
    video: Produce | UnsetType = UNSET


class Plugins(Struct, omit_defaults=True):
    can_close: Yes = UNSET
    can_edit_config: Yes = UNSET
    can_start: Yes = UNSET
    config: dict[str, Any] | Text | UnsetType = UNSET


class Polls(Struct, omit_defaults=True):
    can_create: Yes = UNSET
    can_view: Yes = UNSET
    can_vote: Yes = UNSET


class PresetPermissions(Struct, omit_defaults=True):
    accept_stage_requests: Yes = UNSET
    accept_waiting_requests: Yes = UNSET
    can_accept_production_requests: Yes = UNSET
    can_change_participant_permissions: Yes = UNSET
    can_edit_display_name: Yes = UNSET
    can_livestream: Yes = UNSET
    can_record: Yes = UNSET
    can_spotlight: Yes = UNSET
    chat: PresetChat | UnsetType = UNSET
    connected_meetings: ConnectedMeetings | UnsetType = UNSET
    disable_participant_audio: Yes = UNSET
    disable_participant_screensharing: Yes = UNSET
    disable_participant_video: Yes = UNSET
    hidden_participant: Yes = UNSET
    is_recorder: Yes = UNSET
    kick_participant: Yes = UNSET
    media: MediaPermissions | UnsetType = UNSET
    pin_participant: Yes = UNSET
    plugins: Plugins | UnsetType = UNSET
    polls: Polls | UnsetType = UNSET
    recorder_type: Literal["RECORDER", "LIVESTREAMER", "NONE"] | UnsetType = UNSET
    show_participant_list: Yes = UNSET
    stage_access: CanProduce | UnsetType = UNSET
    stage_enabled: Yes = UNSET
    transcription_enabled: Yes = UNSET
    waiting_room_type: Literal["SKIP", "ON_PRIVILEGED_USER_ENTRY", "SKIP_ON_ACCEPT"] | UnsetType = UNSET


class DesignColors(Struct, omit_defaults=True):
    background: Colors | UnsetType = UNSET
    brand: Colors | UnsetType = UNSET
    danger: Text | UnsetType = UNSET
    success: Text | UnsetType = UNSET
    text: Text | UnsetType = UNSET
    text_on_brand: Text | UnsetType = UNSET
    video_bg: Text | UnsetType = UNSET
    warning: Text | UnsetType = UNSET


class DesignTokens(Struct, omit_defaults=True):
    border_radius: Literal["sharp", "rounded", "extra-rounded", "circular"] | UnsetType = UNSET
    border_width: Literal["none", "thin", "fat"] | UnsetType = UNSET
    colors: DesignColors | UnsetType = UNSET
    font_family: Text | UnsetType = UNSET
    google_font: Text | UnsetType = UNSET
    logo: Text | UnsetType = UNSET
    spacing_base: Count | UnsetType = UNSET
    theme: Literal["darkest", "dark", "light"] | UnsetType = UNSET


class PresetUi(Struct, omit_defaults=True):
    design_tokens: DesignTokens | UnsetType = UNSET


class PresetBody(Struct):
    """A preset to be created, or to take the place of one; without permissions it is one of a viewer."""

    name: Name
    config: PresetConfig | UnsetType = UNSET
    permissions: PresetPermissions | UnsetType = UNSET
    ui: PresetUi | UnsetType = UNSET


class EditPreset(Struct):
    """What is not given stays."""

    name: Name | UnsetType = UNSET
    config: PresetConfig | UnsetType = UNSET
    permissions: PresetPermissions | UnsetType = UNSET
    ui: PresetUi | UnsetType = UNSET


class PresetListItem(Struct):
    id: str
    name: str
    created_at: IsoTime
    updated_at: IsoTime


class Preset(Struct):
    id: str
    name: str
    config: PresetConfig
    permissions: PresetPermissions
    ui: PresetUi
    created_at: IsoTime
    updated_at: IsoTime
