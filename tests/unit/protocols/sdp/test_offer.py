"""Reading an offer: what it says, and in words what it lacks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.protocols.sdp.description import MAX_LINES, MAX_SECTIONS
from headwater.protocols.sdp.errors import NotServed, SdpError
from headwater.protocols.sdp.offer import read_offer
from tests.unit.protocols.sdp import offers


def test_a_browser_that_publishes() -> None:
    found = read_offer(offers.publisher())
    assert found.ice_ufrag == "9f8+" and found.setup == "actpass" and found.mixed_extensions
    assert found.fingerprints == (("sha-256", bytes(range(32))),)
    sound, picture = found.sections
    assert (sound.mid, sound.kind, sound.direction, sound.ssrc, sound.rtx_ssrc) == (
        "0",
        "audio",
        "sendonly",
        1001,
        None,
    )
    assert (picture.mid, picture.ssrc, picture.rtx_ssrc) == ("1", 2001, 2002)
    assert [codec.name for codec in sound.codecs] == ["opus", "PCMU"]
    assert dict(picture.retransmits) == {96: 97, 102: 103, 106: 107}
    assert picture.codecs[0].feedback == {"goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"}
    assert picture.codecs[1].parameters["profile-level-id"] == "42001f"
    assert sound.extensions["urn:ietf:params:rtp-hdrext:sdes:mid"] == 4


def test_line_ends_and_unknown_lines() -> None:
    text = offers.publisher().replace("\r\n", "\n").replace("s=-\n", "s=-\nb=AS:1000\nz=0 0\n\n")
    assert read_offer(text) == read_offer(offers.publisher())


def test_transport_above_the_sections() -> None:
    """As Firefox and ffmpeg write the fingerprint."""
    bare = offers.without(offers.without(offers.publisher(), "a=fingerprint"), "a=setup")
    text = bare.replace("t=0 0\r\n", f"t=0 0\r\na=fingerprint:{offers.FINGERPRINT.lower()}\r\na=setup:active\r\n", 1)
    found = read_offer(text)
    assert found.fingerprints == (("sha-256", bytes(range(32))),) and found.setup == "active"


def test_feedback_of_every_payload_type() -> None:
    found = read_offer(offers.offer(offers.video(codecs=["a=rtpmap:96 VP8/90000", "a=rtcp-fb:* nack  pli"])))
    assert found.sections[0].codecs[0].feedback == {"nack pli"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: offers.without(text, "a=group"), "a=group:BUNDLE"),
        (lambda text: text.replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 0"), "bundlePolicy"),
        (lambda text: offers.without(text, "a=rtcp-mux"), "rtcp-mux"),
        (lambda text: offers.without(text, "a=fingerprint"), "a=fingerprint"),
        (lambda text: text.replace(offers.FINGERPRINT, "sha-1 " + ":".join(["00"] * 20)), "can be checked"),
        (lambda text: text.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "RTP/AVP is not WebRTC's"),
        (lambda text: offers.offer(offers.data()), "no audio or video"),
        (lambda text: text.replace(" 9 UDP", " 0 UDP"), "no audio or video"),
    ],
)
def test_what_is_not_served(change: object, words: str) -> None:
    assert callable(change)
    with pytest.raises(NotServed, match=words):
        read_offer(change(offers.publisher()))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: "", "v=0"),
        (lambda text: "v=1\r\n" + text, "v=0"),
        (lambda text: "".join(f"{line}\r\n" for line in offers.HEAD), "no m= line"),
        (lambda text: offers.without(text, "a=ice-ufrag"), "a=ice-ufrag"),
        (lambda text: offers.without(text, "a=ice-pwd"), "a=ice-pwd"),
        (lambda text: text.replace("a=ice-pwd:c0/V", "a=ice-pwd:c"), "22 to 256"),
        (lambda text: text.replace("a=ice-ufrag:9f8+", "a=ice-ufrag:9f8 +"), "characters"),
        (lambda text: text.replace("a=setup:actpass", "a=setup:holdconn"), "holdconn"),
        (lambda text: text.replace(":1F", ""), "32 bytes"),
        (lambda text: text.replace("a=mid:1", "a=mid:0"), "same a=mid"),
        (lambda text: text.replace("a=mid:1", "a=mid:1 2"), "a=mid"),
        (lambda text: text.replace("s=-", "nonsense"), "letter=value"),
        (lambda text: text.replace("s=-", "s=" + "x" * 3000), "longer than"),
        (lambda text: text.replace("s=-", "s=a\rb"), "CR"),
        (lambda text: text + "a=x\r\n" * MAX_LINES, "lines"),
        (lambda text: text + "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n" * MAX_SECTIONS, "at most"),
        (lambda text: text.replace("m=audio 9 ", "m=audio x "), "no port"),
        (lambda text: text.replace("m=audio 9 UDP/TLS/RTP/SAVPF 111 0", "m=audio 9"), "m=<media>"),
        (lambda text: text.replace("SAVPF 111 0", "SAVPF 111 200"), "payload type"),
        (lambda text: text.replace("opus/48000/2", "opus"), "clock rate"),
        (lambda text: text.replace("a=ssrc:1001 cname", "a=ssrc:x cname"), "ssrc"),
        (lambda text: text.replace("a=extmap:4 urn", "a=extmap:4"), "a=extmap"),
    ],
)
def test_what_cannot_be_read(change: object, words: str) -> None:
    assert callable(change)
    with pytest.raises(SdpError, match=words) as caught:
        read_offer(change(offers.publisher()))
    assert not isinstance(caught.value, NotServed)


_LINES = [line for line in offers.publisher().split("\r\n") if line]


@given(st.lists(st.sampled_from(_LINES) | st.text(max_size=40), max_size=60), st.booleans())
def test_any_lines_parse_or_are_an_sdp_error(lines: list[str], headed: bool) -> None:
    try:
        read_offer("\r\n".join([*(offers.HEAD if headed else ()), *lines]))
    except SdpError:
        pass


@given(st.integers(0, len(_LINES) - 1), st.integers(0, 60), st.characters())
def test_a_changed_character_parses_or_is_an_sdp_error(line: int, at: int, character: str) -> None:
    changed = list(_LINES)
    changed[line] = changed[line][:at] + character + changed[line][at + 1 :]
    try:
        read_offer("\r\n".join(changed))
    except SdpError:
        pass
