"""STUN and TURN servers as `Link` headers (RFC 9725, 4.6; RFC 8288)."""

from __future__ import annotations

import base64
import hashlib
import hmac

from headwater.errors import OperatorError
from headwater.webrtc.settings import WebRtcSettings

SCHEMES = ("stun:", "stuns:", "turn:", "turns:")
"""RFC 7064 and RFC 7065."""
CREDENTIAL_S = 86_400
"""How long a credential made from `turn_secret` opens a new allocation: longer than a meeting with its ICE restarts."""


def ice_server_links(settings: WebRtcSettings, now: float) -> list[str]:
    """One value for each server of the settings; TURN's with user name and credential.

    Args:
        now: Seconds since 1970.
    """
    links = [f'<{url}>; rel="ice-server"' for url in settings.stun_servers]
    name, credential = (_quoted(each) for each in _credential(settings, now))
    for url in settings.turn_servers:
        link = f'<{url}>; rel="ice-server"; username="{name}"; credential="{credential}"; credential-type="password"'
        links.append(link)
    return links


def check_servers(settings: WebRtcSettings) -> None:
    """Look at the addresses of the settings' servers.

    Raises:
        OperatorError: one is no STUN or TURN URL, or a TURN server has no credential.
    """
    for key, schemes in (("stun_servers", SCHEMES[:2]), ("turn_servers", SCHEMES[2:])):
        for url in getattr(settings, key):
            if not url.startswith(schemes) or any(sign in url for sign in '<>" \r\n'):
                raise OperatorError(f"webrtc.{key}: {url!r} must start with {' or '.join(schemes)}")
    if settings.turn_servers and not settings.turn_secret and not (settings.turn_username and settings.turn_credential):
        raise OperatorError("webrtc.turn_servers needs webrtc.turn_secret, or webrtc.turn_username and turn_credential")


def _credential(settings: WebRtcSettings, now: float) -> tuple[str, str]:
    """User name and credential: with a secret, those of draft-uberti-behave-turn-rest, 2.2, as coturn checks them."""
    if not settings.turn_secret:
        return settings.turn_username or "", settings.turn_credential or ""
    name = f"{int(now) + CREDENTIAL_S}:{settings.turn_username or 'headwater'}"
    digest = hmac.digest(settings.turn_secret.encode(), name.encode(), hashlib.sha1)
    return name, base64.b64encode(digest).decode()


def _quoted(text: str) -> str:
    return "".join(f"\\{sign}" if sign in '"\\' else sign for sign in text if sign.isprintable())
