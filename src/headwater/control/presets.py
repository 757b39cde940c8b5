"""Presets: what the three roles may do, in the product's words, and under which names the product knows them. Pure.

A stored preset has a role and what was given beside it; `definition` lays the one over the other. Of all that a preset
says, a room goes by `permissions_of`; the rest (chat, polls, plugins, colours) is kept and shown for those who read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any, Final, Literal

from headwater.rooms import Permissions

Role = Literal["host", "participant", "viewer"]

ROLES: Final[tuple[Role, ...]] = ("host", "participant", "viewer")
"""Every app is made with a preset of each; their names are theirs."""

ALIASES: Final[Mapping[str, Role]] = {
    "group_call_host": "host",
    "group_call_participant": "participant",
    "group_call_guest": "participant",
    "webinar_presenter": "host",
    "webinar_viewer": "viewer",
    "livestream_host": "host",
    "livestream_viewer": "viewer",
}
"""What the product names a new app's presets; each stands for a role's preset, unless an app has one of that name."""

Definition = dict[str, Any]

_UI: Final[Definition] = {
    "design_tokens": {
        "border_radius": "rounded",
        "border_width": "thin",
        "spacing_base": 4,
        "theme": "dark",
        "logo": "",
        "colors": {
            "brand": {"300": "#844d1c", "400": "#9d5b22", "500": "#b56927", "600": "#d37c30", "700": "#d9904f"},
            "background": {"600": "#222222", "700": "#1f1f1f", "800": "#1b1b1b", "900": "#181818", "1000": "#141414"},
            "danger": "#ff2d2d",
            "success": "#62a504",
            "text": "#eeeeee",
            "text_on_brand": "#eeeeee",
            "video_bg": "#191919",
            "warning": "#ffcd07",
        },
    }
}


def _role(*, host: bool, produces: bool) -> Definition:
    produce = {"can_produce": "ALLOWED" if produces else "NOT_ALLOWED"}
    return {
        "config": {
            "view_type": "GROUP_CALL" if produces else "WEBINAR",
            "max_screenshare_count": 1 if produces else 0,
            "max_video_streams": {"desktop": 9, "mobile": 6},
            "media": {
                "video": {"quality": "hd", "frame_rate": 30},
                "screenshare": {"quality": "hd", "frame_rate": 15},
                "audio": {"enable_high_bitrate": False, "enable_stereo": False},
            },
        },
        "permissions": {
            "accept_waiting_requests": host,
            "can_accept_production_requests": host,
            "can_change_participant_permissions": host,
            "can_edit_display_name": False,
            "can_livestream": host,
            "can_record": host,
            "can_spotlight": False,
            "chat": {
                "private": {"can_receive": False, "can_send": False, "files": False, "text": False},
                "public": {"can_send": False, "files": False, "text": False},
            },
            "connected_meetings": {
                "can_alter_connected_meetings": False,
                "can_switch_connected_meetings": False,
                "can_switch_to_parent_meeting": False,
            },
            "disable_participant_audio": host,
            "disable_participant_screensharing": host,
            "disable_participant_video": host,
            "hidden_participant": False,
            "kick_participant": host,
            "media": {"audio": produce, "screenshare": produce, "video": produce},
            "pin_participant": False,
            "plugins": {"can_close": False, "can_edit_config": False, "can_start": False, "config": {}},
            "polls": {"can_create": False, "can_view": False, "can_vote": False},
            "recorder_type": "NONE",
            "show_participant_list": True,
            "waiting_room_type": "SKIP",
        },
        "ui": _UI,
    }


_DEFINITIONS: Final[Mapping[str, Definition]] = {
    "host": _role(host=True, produces=True),
    "participant": _role(host=False, produces=True),
    "viewer": _role(host=False, produces=False),
}


def definition(role: str, settings: Mapping[str, Any]) -> Definition:
    """A preset's `config`, `permissions` and `ui`: what was given, over what its role says."""
    return merged(_DEFINITIONS[role], settings)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Definition:
    """`above` laid over `below`, object by object; lists and plain values are replaced."""
    result = deepcopy(dict(below))
    for name, value in above.items():
        if isinstance(value, Mapping) and isinstance(result.get(name), dict):
            result[name] = merged(result[name], value)
        else:
            result[name] = deepcopy(value)
    return result


def permissions_of(defined: Definition) -> Permissions:
    """What a room goes by. `CAN_REQUEST` is not `ALLOWED`: there is nobody to ask yet."""
    allowed = defined["permissions"]
    media = {name: entry["can_produce"] == "ALLOWED" for name, entry in allowed["media"].items()}
    return Permissions(
        kick=allowed["kick_participant"],
        mute_others=allowed["disable_participant_audio"],
        livestream=allowed["can_livestream"],
        audio=media["audio"],
        video=media["video"],
        screen=media["screenshare"],
    )
