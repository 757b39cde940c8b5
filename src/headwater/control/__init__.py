"""The control plane: REST API, lifecycle, repository, authentication. `plane.ControlPlane` is its door."""

from headwater.control.authority import Grant, Playback, Playbacks, PublishRefusedOf, StreamKeys
from headwater.control.broadcasts import Broadcasts
from headwater.control.credentials import Credentials
from headwater.control.plane import ControlPlane
from headwater.control.settings import ControlSettings
from headwater.control.urls import API_PATH, Addresses

__all__ = [
    "API_PATH",
    "Addresses",
    "Broadcasts",
    "ControlPlane",
    "ControlSettings",
    "Credentials",
    "Grant",
    "Playback",
    "Playbacks",
    "PublishRefusedOf",
    "StreamKeys",
]
