"""What an offer and a policy agree on, and the answer that says so."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import pytest

from headwater.protocols.sdp.answer import Transport, write_answer
from headwater.protocols.sdp.description import Description, parse
from headwater.protocols.sdp.errors import NotServed
from headwater.protocols.sdp.media import ABS_SEND_TIME, AUDIO_LEVEL, MID, CodecName, Outgoing, Policy, Section
from headwater.protocols.sdp.negotiation import Agreed, negotiate
from headwater.protocols.sdp.offer import read_offer
from tests.unit.protocols.sdp import offers

RECEIVE = Policy(receive_audio=("opus",), receive_video=("H264", "VP8"))
TRANSPORT = Transport(77, "ours1234", "p" * 32, [("192.0.2.7", 8189), ("198.51.100.7", 8189)], bytes(range(32)))


def sending(codec: CodecName = "H264", profile: str = "42e01f", *, optional: bool = False) -> Policy:
    parameters = {"profile-level-id": profile, "packetization-mode": "1"} if codec == "H264" else {}
    return Policy(
        send=[
            Outgoing("audio", "opus", "live", "sound", optional=optional),
            Outgoing("video", codec, "live", "picture", parameters),
        ]
    )


def agree(text: str, policy: Policy) -> tuple[list[Section], Description]:
    """Sections and the answer, read again."""
    agreed, description = agree_all(text, policy)
    return [each.section for each in agreed if each.section is not None], description


def agree_all(text: str, policy: Policy) -> tuple[Sequence[Agreed], Description]:
    offer, numbers = read_offer(text), count(5001)
    agreed = negotiate(offer, policy, lambda: next(numbers))
    return agreed, parse(write_answer(offer, agreed, TRANSPORT))


class TestReceiving:
    def test_a_browser(self) -> None:
        (sound, picture), answer = agree(offers.publisher(), RECEIVE)
        assert (sound.direction, sound.ssrc, sound.rtx_ssrc) == ("recvonly", 1001, None)
        assert sound.codec is not None and sound.codec.payload_type == 111 and sound.codec.channels == 2
        assert sound.codec.parameters["useinbandfec"] == "1"
        assert picture.codec is not None and (picture.codec.name, picture.codec.payload_type) == ("H264", 106)
        assert (picture.codec.rtx_payload_type, picture.ssrc, picture.rtx_ssrc) == (107, 2001, 2002)
        assert picture.codec.feedback == {"nack"}, "what was offered for this payload type, less what we do not do"
        assert picture.extensions == {MID: 4, AUDIO_LEVEL: 1, ABS_SEND_TIME: 2}, "not the orientation"
        assert [section.formats for section in answer.sections] == [("111",), ("106", "107")]
        assert all(section.first("recvonly") == "" for section in answer.sections)

    def test_the_order_of_preference_is_ours(self) -> None:
        (_, picture), _ = agree(offers.publisher(), Policy(("opus",), ("VP8", "H264")))
        assert picture.codec is not None and picture.codec.name == "VP8"
        assert picture.codec.feedback == {"goog-remb", "ccm fir", "nack", "nack pli"}

    def test_the_only_h264_is_taken_whatever_its_profile(self) -> None:
        codecs = ["a=rtpmap:106 H264/90000", "a=fmtp:106 packetization-mode=1;profile-level-id=640c1f"]
        (picture,), answer = agree(offers.offer(offers.video(codecs=codecs)), RECEIVE)
        assert picture.codec is not None and picture.codec.rtx_payload_type is None and picture.rtx_ssrc is None
        assert answer.sections[0].first("fmtp") == "106 packetization-mode=1;profile-level-id=640c1f"

    def test_without_nack_there_is_no_retransmission(self) -> None:
        codecs = ["a=rtpmap:96 VP8/90000", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96"]
        (picture,), _ = agree(offers.offer(offers.video(codecs=codecs)), RECEIVE)
        assert picture.codec is not None and picture.codec.rtx_payload_type is None

    def test_a_second_picture_is_refused(self) -> None:
        text = offers.offer(offers.audio(), offers.video(), offers.video(mid="9"))
        (_, _, second), answer = agree(text, RECEIVE)
        assert (second.direction, second.codec) == ("inactive", None)
        assert [section.port for section in answer.sections] == [8189, 8189, 0]
        assert answer.first("group") == "BUNDLE 0 1"

    def test_what_is_not_received_stands_idle(self) -> None:
        (sound, picture), answer = agree(offers.publisher(), Policy(receive_video=("VP8",)))
        assert (sound.direction, picture.direction) == ("inactive", "recvonly")
        assert answer.sections[0].port == 8189 and answer.sections[0].first("inactive") == ""
        assert answer.first("group") == "BUNDLE 0 1", "the section that carries the bundle was not refused"

    def test_data_channels_are_refused_alone(self) -> None:
        agreed, answer = agree_all(offers.offer(offers.audio(), offers.video(), offers.data()), RECEIVE)
        assert agreed[2].section is None
        assert answer.sections[2].port == 0 and answer.sections[2].kind == "application"
        assert answer.first("group") == "BUNDLE 0 1"

    def test_one_section_needs_no_bundle(self) -> None:
        (sound,), answer = agree(offers.offer(offers.audio(), group="-"), RECEIVE)
        assert sound.direction == "recvonly" and answer.sections[0].first("mid") == "0"

    def test_no_common_codec(self) -> None:
        with pytest.raises(
            NotServed, match=r"no common video codec: VP8 can be received here, the offer has H264 \(main\)"
        ):
            codecs = ["a=rtpmap:96 H264/90000", "a=fmtp:96 profile-level-id=4d001f"]
            agree(offers.offer(offers.video(codecs=codecs)), Policy(receive_video=("VP8",)))

    def test_an_offer_that_sends_nothing(self) -> None:
        with pytest.raises(NotServed, match="sends nothing"):
            agree(offers.viewer(), RECEIVE)


class TestSending:
    def test_a_browser(self) -> None:
        (sound, picture), answer = agree(offers.viewer(), sending())
        assert (sound.direction, picture.direction) == ("sendonly", "sendonly")
        assert (sound.track_id, picture.track_id) == ("sound", "picture")
        assert picture.codec is not None and picture.codec.payload_type == 106
        assert sound.ssrc is not None and picture.ssrc is not None and picture.rtx_ssrc is not None
        assert len({sound.ssrc, picture.ssrc, picture.rtx_ssrc}) == 3
        lines = answer.sections[1]
        assert lines.first("msid") == "live picture"
        assert lines.first("ssrc-group") == f"FID {picture.ssrc} {picture.rtx_ssrc}"
        assert f"{picture.ssrc} cname:live" in list(lines.all("ssrc"))

    @pytest.mark.parametrize(
        ("profile", "payload_type"),
        [
            ("42e01f", 106),  # constrained baseline: the same
            ("42c028", 106),  # the same at another level, which may differ (level-asymmetry-allowed)
            ("42001e", 102),  # baseline
            ("640028", 112),  # high
            ("4d401f", 106),  # main with constraint set 1 is main; no main is offered, and high reads it
        ],
    )
    def test_the_payload_type_whose_decoder_reads_it(self, profile: str, payload_type: int) -> None:
        (_, picture), _ = agree(offers.viewer(), sending(profile=profile))
        assert picture.codec is not None
        assert picture.codec.payload_type == (112 if profile == "4d401f" else payload_type)

    def test_another_profile_is_better_than_none(self) -> None:
        """Browsers that promise Baseline decode High."""
        codecs = ["a=rtpmap:106 H264/90000", "a=fmtp:106 packetization-mode=1;profile-level-id=42e01f"]
        text = offers.offer(offers.audio(direction="recvonly"), offers.video(direction="recvonly", codecs=codecs))
        (_, picture), _ = agree(text, sending(profile="640028"))
        assert picture.codec is not None and picture.codec.payload_type == 106

    def test_fragments_need_a_mode_that_has_them(self) -> None:
        codecs = ["a=rtpmap:108 H264/90000", "a=fmtp:108 packetization-mode=0;profile-level-id=42e01f"]
        text = offers.offer(offers.audio(direction="recvonly"), offers.video(direction="recvonly", codecs=codecs))
        with pytest.raises(NotServed, match="no common video codec: H264 is sent here"):
            agree(text, sending())

    def test_a_viewer_without_sound(self) -> None:
        text = offers.offer(offers.video(direction="recvonly"))
        with pytest.raises(NotServed, match="recvonly transceiver for audio"):
            agree(text, sending())
        (picture,), _ = agree(text, sending(optional=True))
        assert picture.direction == "sendonly"

    def test_who_offers_both_ways_is_sent_to(self) -> None:
        (sound, picture), answer = agree(offers.publisher().replace("sendonly", "sendrecv"), sending())
        assert (sound.direction, picture.direction) == ("sendonly", "sendonly")
        assert answer.sections[0].first("sendonly") == ""

    def test_who_only_sends_is_told(self) -> None:
        with pytest.raises(NotServed, match="recvonly transceiver"):
            agree(offers.publisher(), sending())


class TestAnswer:
    """RFC 9725, 4.3.1; RFC 8829, 5.3.1."""

    def test_the_transport(self) -> None:
        _, answer = agree(offers.publisher(), RECEIVE)
        assert answer.first("ice-lite") == "" and answer.first("extmap-allow-mixed") == ""
        for section in answer.sections:
            assert section.first("ice-ufrag") == "ours1234" and section.first("ice-pwd") == "p" * 32
            assert section.first("setup") == "passive" and section.first("rtcp-mux") == ""
            assert section.first("fingerprint") == offers.FINGERPRINT
            assert section.first("rtcp-rsize") is None
        assert list(answer.sections[0].all("candidate")) == [
            "1 1 udp 2130706431 192.0.2.7 8189 typ host",
            "2 1 udp 2130706175 198.51.100.7 8189 typ host",
        ]

    def test_who_waits_for_us_to_open(self) -> None:
        offer = read_offer(offers.publisher().replace("actpass", "passive"))
        agreed = negotiate(offer, RECEIVE, lambda: 1)
        active = Transport(1, "a" * 8, "b" * 32, TRANSPORT.addresses, bytes(32), active=True)
        assert "a=setup:active\r\n" in write_answer(offer, agreed, active)

    def test_every_line_ends_with_crlf(self) -> None:
        offer = read_offer(offers.publisher())
        text = write_answer(offer, negotiate(offer, RECEIVE, lambda: 1), TRANSPORT)
        assert text.endswith("\r\n") and "\n" not in text.replace("\r\n", "")
