"""What can be wrong with an offer: it cannot be read, or it can and we have nothing to answer."""

from __future__ import annotations

from headwater.errors import ProtocolError


class SdpError(ProtocolError):
    """A session description that breaks its grammar, or lacks what every WebRTC client sends. The message says what."""


class NotServed(SdpError):
    """A good session description that asks for what we do not do. The message says what, and what would be served."""
