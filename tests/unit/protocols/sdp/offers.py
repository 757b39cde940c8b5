"""Offers as browsers and encoders write them, in pieces that a test can change."""

from __future__ import annotations

from collections.abc import Sequence

FINGERPRINT = "sha-256 " + ":".join(f"{number:02X}" for number in range(32))
HEAD = (
    "v=0",
    "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
    "s=-",
    "t=0 0",
)
AUDIO_CODECS = (
    "a=rtpmap:111 opus/48000/2",
    "a=rtcp-fb:111 transport-cc",
    "a=fmtp:111 minptime=10;useinbandfec=1",
    "a=rtpmap:0 PCMU/8000",
)
VIDEO_CODECS = (
    "a=rtpmap:96 VP8/90000",
    "a=rtcp-fb:96 goog-remb",
    "a=rtcp-fb:96 transport-cc",
    "a=rtcp-fb:96 ccm fir",
    "a=rtcp-fb:96 nack",
    "a=rtcp-fb:96 nack pli",
    "a=rtpmap:97 rtx/90000",
    "a=fmtp:97 apt=96",
    "a=rtpmap:102 H264/90000",
    "a=rtcp-fb:102 nack",
    "a=rtcp-fb:102 nack pli",
    "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f",
    "a=rtpmap:103 rtx/90000",
    "a=fmtp:103 apt=102",
    "a=rtpmap:106 H264/90000",
    "a=rtcp-fb:106 nack",
    "a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    "a=rtpmap:107 rtx/90000",
    "a=fmtp:107 apt=106",
    "a=rtpmap:108 H264/90000",
    "a=fmtp:108 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f",
    "a=rtpmap:112 H264/90000",
    "a=fmtp:112 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f",
)
EXTENSIONS = (
    "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
    "a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
    "a=extmap:3 urn:3gpp:video-orientation",
    "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
)
TRANSPORT = (
    "a=ice-ufrag:9f8+",
    "a=ice-pwd:c0/VxGCxmLSaPyBDrHuxRTgN",
    f"a=fingerprint:{FINGERPRINT}",
    "a=setup:actpass",
)


def audio(*, mid: str = "0", direction: str = "sendonly", codecs: Sequence[str] = AUDIO_CODECS) -> list[str]:
    """A section for sound, as Chromium writes it."""
    return [
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 0",
        "c=IN IP4 0.0.0.0",
        *TRANSPORT,
        f"a=mid:{mid}",
        *EXTENSIONS,
        f"a={direction}",
        "a=msid:stream sound",
        "a=rtcp-mux",
        *codecs,
        "a=ssrc:1001 cname:x",
        "a=ssrc:1001 msid:stream sound",
    ]


def video(*, mid: str = "1", direction: str = "sendonly", codecs: Sequence[str] = VIDEO_CODECS) -> list[str]:
    """A section for the picture, as Chromium writes it."""
    return [
        "m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 106 107 108 112",
        "c=IN IP4 0.0.0.0",
        *TRANSPORT,
        f"a=mid:{mid}",
        *EXTENSIONS,
        f"a={direction}",
        "a=msid:stream picture",
        "a=rtcp-mux",
        "a=rtcp-rsize",
        *codecs,
        "a=ssrc-group:FID 2001 2002",
        "a=ssrc:2001 cname:x",
        "a=ssrc:2002 cname:x",
    ]


def data(*, mid: str = "2") -> list[str]:
    """A data channel."""
    return ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", *TRANSPORT, f"a=mid:{mid}", "a=sctp-port:5000"]


def offer(*sections: list[str], group: str | None = None) -> str:
    """A whole one, bundled unless a group is given (`-`: none)."""
    mids = [line[6:] for section in sections for line in section if line.startswith("a=mid:")]
    named = " ".join(["BUNDLE", *mids]) if group is None else group
    lines = [*HEAD, *([] if named == "-" else [f"a=group:{named}"]), "a=extmap-allow-mixed"]
    for section in sections:
        lines += section
    return "".join(f"{line}\r\n" for line in lines)


def publisher() -> str:
    """Sound and picture."""
    return offer(audio(), video())


def viewer() -> str:
    """Who wants both."""
    strip = ("a=ssrc", "a=msid")
    sections = [audio(direction="recvonly"), video(direction="recvonly")]
    return offer(*[[line for line in each if not line.startswith(strip)] for each in sections])


def without(text: str, start: str) -> str:
    """An offer less the lines that begin so."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(start))
