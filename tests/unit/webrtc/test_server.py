"""The port and its peers: who gets in, what comes through, how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
from dataclasses import replace

import pytest

from headwater.errors import LimitReached, OperatorError
from headwater.protocols import stun
from headwater.protocols.sdp.errors import SdpError
from headwater.protocols.sdp.fragment import read_fragment
from headwater.webrtc import feedback
from headwater.webrtc.dtls import Identity
from headwater.webrtc.links import ice_server_links
from headwater.webrtc.media import Outgoing, Policy
from headwater.webrtc.server import WebRtcServer
from headwater.webrtc.settings import WebRtcSettings
from tests.unit.protocols.sdp import offers
from tests.unit.webrtc.client import IDENTITY, RECEIVE, Client, Owner, joined, port, rtp, until

SEND = Policy(send=[Outgoing("audio", "opus", "live", "sound"), Outgoing("video", "VP8", "live", "picture")])
RESTART = "a=ice-ufrag:fresh\r\na=ice-pwd:c0/VxGCxmLSaPyBDrHuxRTgN\r\n"


class TestReceiving:
    async def test_a_packet_comes_as_it_was_sent(self) -> None:
        async with port() as server, joined(server) as (client, peer, owner):
            assert owner.connections == 1 and server.counts.connected == 1
            client.send_rtp(rtp(7))
            await until(lambda: owner.packets)
            section, packet = owner.packets[0]
            assert (section.mid, packet) == ("1", rtp(7))
            assert peer.round_trip_ms is not None and peer.remote.startswith("127.0.0.1:")

    async def test_replayed_and_forged_packets_do_not(self) -> None:
        async with port() as server, joined(server) as (client, _, owner):
            sent = client.send_rtp(rtp(7))
            client.send(sent)
            client.send(sent[:-1] + bytes([sent[-1] ^ 1]))
            client.send(sent[:9])
            client.send(sent + bytes(1500))
            client.send_rtp(rtp(8))
            await until(lambda: len(owner.packets) > 1)
            assert [packet for _, packet in owner.packets] == [rtp(7), rtp(8)]

    async def test_a_retransmission_is_the_packet_it_repeats(self) -> None:
        async with port() as server, joined(server) as (client, _, owner):
            client.send_rtp(rtp(500, payload_type=97, ssrc=2002, payload=b"\x00\x07picture"))
            client.send_rtp(rtp(501, payload_type=97, ssrc=2002, payload=b""))  # only pads
            client.send_rtp(rtp(8))
            await until(lambda: len(owner.packets) > 1)
            first = owner.packets[0][1]
            assert first[:4] == rtp(7)[:4] and first[8:] == rtp(7)[8:]
            assert owner.packets[1][1] == rtp(8)

    async def test_an_unknown_source_is_known_by_its_section_name(self) -> None:
        text = offers.without(offers.publisher(), "a=ssrc")
        named = b"\x40" + b"1"  # extension 4 (mid), one byte
        async with port() as server, joined(server, text) as (client, peer, owner):
            assert peer.sections[1].ssrc is None
            client.send_rtp(rtp(1, ssrc=4711, extension=named))
            client.send_rtp(rtp(9, payload_type=111, ssrc=815))  # by the only section with this payload type
            await until(lambda: len(owner.packets) > 1)
            assert [section.ssrc for section, _ in owner.packets] == [4711, 815]
            assert [section.ssrc for section in peer.sections] == [815, 4711]

    async def test_what_was_not_agreed_is_dropped(self) -> None:
        async with port() as server, joined(server) as (client, _, owner):
            client.send_rtp(rtp(1, payload_type=100))
            client.send_rtp(rtp(1, payload_type=100, ssrc=99))
            client.send_rtp(rtp(2))
            await until(lambda: owner.packets)
            assert [packet for _, packet in owner.packets] == [rtp(2)]

    async def test_sources_have_a_limit(self) -> None:
        async with port(WebRtcSettings(max_ssrcs=4)) as server, joined(server) as (client, _, owner):
            for ssrc in range(3000, 3010):
                client.send_rtp(rtp(1, payload_type=111, ssrc=ssrc))
            client.send_rtp(rtp(2, payload_type=111, ssrc=3000))
            await until(lambda: owner.packets and owner.packets[-1][1][2:4] == b"\0\2")
            assert [section.ssrc for section, _ in owner.packets] == [3000, 3001, 3002, 3003, 3000]

    async def test_reports_are_handed_on(self) -> None:
        async with port() as server, joined(server) as (client, _, owner):
            report = struct.pack("!BBHIIIIII", 0x80, 200, 6, 2001, 1, 2, 3, 4, 5)
            client.send(client.outbound.protect_rtcp(report))
            await until(lambda: owner.compounds)
            assert owner.compounds == [report]

    async def test_an_owner_that_fails_loses_its_peer(self) -> None:
        async with port() as server, joined(server) as (client, peer, owner):
            owner.error = RuntimeError("a bug")
            client.send_rtp(rtp(1))
            await until(lambda: owner.ended)
            assert peer.state == "closed" and server.peers() == 0


class TestKeyframeRequests:
    async def test_one_at_once_and_one_for_all_that_follow(self) -> None:
        async with port() as server, joined(server) as (client, peer, _):
            for _ in range(5):
                peer.request_keyframe(peer.sections[1])
            first = await client.receive_media()
            assert (first[9], first[8] & 0x1F, first[16:20]) == (206, 1, (2001).to_bytes(4, "big"))
            second = await client.receive_media()
            assert second == first
            with pytest.raises(TimeoutError):
                await client.receive(0.6)

    async def test_full_intra_request_where_only_that_was_agreed(self) -> None:
        text = offers.without(offers.publisher(), "a=rtcp-fb:96 nack pli")
        async with port() as server, joined(server, text) as (client, peer, _):
            peer.request_keyframe(peer.sections[1])
            request = await client.receive_media()
            assert (request[9], request[8] & 0x1F, request[20:24]) == (206, 4, (2001).to_bytes(4, "big"))

    async def test_an_unknown_source_is_asked_when_it_is_known(self) -> None:
        text = offers.without(offers.publisher(), "a=ssrc")
        async with port() as server, joined(server, text) as (client, peer, _):
            peer.request_keyframe(peer.sections[1])
            client.send_rtp(rtp(1, ssrc=4711))
            assert (await client.receive_media())[16:20] == (4711).to_bytes(4, "big")


class TestSending:
    async def test_packets_arrive(self) -> None:
        async with port() as server, joined(server, offers.viewer(), SEND) as (client, peer, _):
            packet = rtp(1, ssrc=peer.sections[1].ssrc or 0)
            assert peer.send_rtp(packet) and peer.send_rtp(bytearray(rtp(2)))
            assert await client.receive_media() == packet
            assert await client.receive_media() == rtp(2)
            assert not peer.send_rtp(rtp(3, payload=bytes(1400))), "longer than a datagram may be"

    async def test_before_the_handshake_nothing_is_sent(self) -> None:
        async with port() as server:
            peer = server.accept(Client(IDENTITY).offer(), RECEIVE, Owner())
            assert not peer.send_rtp(rtp(1)) and not peer.send_rtcp(bytes(8))

    async def test_again_as_a_retransmission(self) -> None:
        async with port() as server, joined(server, offers.viewer(), SEND) as (client, peer, _):
            section = peer.sections[1]
            assert section.ssrc is not None and section.rtx_ssrc is not None
            packet = rtp(7, ssrc=section.ssrc)
            assert peer.resend_rtp(section, packet) and peer.resend_rtp(section, packet)
            first, second = await client.receive_media(), await client.receive_media()
            assert first[8:12] == section.rtx_ssrc.to_bytes(4, "big") and first[1] & 0x7F == 97
            assert first[12:] == b"\x00\x07picture" == second[12:]
            assert int.from_bytes(second[2:4], "big") - int.from_bytes(first[2:4], "big") == 1

    async def test_again_as_it_was(self) -> None:
        text = offers.without(offers.viewer(), "a=rtpmap:97")
        async with port() as server, joined(server, text, SEND) as (client, peer, _):
            packet = rtp(7, ssrc=peer.sections[1].ssrc or 0)
            assert peer.send_rtp(packet) and peer.resend_rtp(peer.sections[1], packet)
            datagrams = [await client.receive(), await client.receive()]
            assert datagrams[0] == datagrams[1]

    async def test_the_round_trip_is_read_from_echoes(self) -> None:
        async with port() as server, joined(server, offers.viewer(), SEND) as (client, peer, owner):
            peer.round_trip_ms = None
            report = struct.pack("!BBHIIIIII", 0x80, 200, 6, 1, 0x11112222, 0x33334444, 3, 4, 5)
            assert peer.send_rtcp(report) and await client.receive_media() == report
            echo = struct.pack("!BBHIIIIIII", 0x81, 201, 7, 9, 1, 0, 0, 0, 0x22223333, 0)
            client.send(client.outbound.protect_rtcp(echo))
            await until(lambda: owner.compounds)
            assert peer.round_trip_ms is not None and 0 <= peer.round_trip_ms < 5000


class TestChecks:
    """RFC 8445, 7.3."""

    async def test_the_answer_says_where_it_came_from(self) -> None:
        async with port() as server:
            client = Client(IDENTITY)
            peer = server.accept(client.offer(), RECEIVE, Owner())
            client.answered(peer.answer)
            answer = await client.check()
            assert answer.type == stun.BINDING_SUCCESS and answer.authentic(peer.ice.pwd.encode())
            host, number = stun.read_xor_address(answer.attributes[stun.XOR_MAPPED_ADDRESS], answer.transaction)
            assert f"{host}:{number}" == peer.remote
            client.close()

    async def test_role_conflict_and_unknown_attributes(self) -> None:
        async with port() as server:
            client = Client(IDENTITY)
            peer = server.accept(client.offer(), RECEIVE, Owner())
            client.answered(peer.answer)
            conflict = await client.check((stun.ICE_CONTROLLED, bytes(8)))
            assert conflict.type == stun.BINDING_ERROR and conflict.attributes[stun.ERROR_CODE][2:4] == b"\x04\x57"
            unknown = await client.check((0x7777, b""))
            assert unknown.attributes[stun.ERROR_CODE][2:4] == b"\x04\x14"
            assert unknown.attributes[stun.UNKNOWN_ATTRIBUTES] == b"\x77\x77"
            assert not peer.addresses and peer.remote == ""
            client.close()

    async def test_strangers_are_not_answered(self) -> None:
        async with port() as server:
            client = Client(IDENTITY)
            peer = server.accept(client.offer(), RECEIVE, Owner())
            client.answered(peer.answer)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.check(password="x" * 32)
            for datagram in (b"", b"\x16" + bytes(40), b"\x80" + bytes(40), b"\x00\x01" + bytes(30), b"\xff" * 20):
                client.send(datagram)
            await until(lambda: server.counts.received == 6)
            assert server.counts.dropped_stun == 2 and server.counts.dropped_unknown == 4
            client.close()

    async def test_a_peer_may_move(self) -> None:
        async with port() as server, joined(server, offers.viewer(), SEND) as (client, peer, owner):
            before = peer.remote
            client.move()
            client.send(client.outbound.protect_rtcp(feedback.picture_loss(1, 2)))
            await client.check()
            assert peer.remote != before and peer.send_rtp(rtp(1))
            assert await client.receive_media() == rtp(1)
            assert owner.compounds == [], "it came before the check"

    async def test_an_address_is_whose_check_came_last(self) -> None:
        """One who says that another's address is theirs holds it until that one's next check, 2.5 s at most."""
        async with port() as server, joined(server) as (client, peer, owner):
            other = server.accept(client.offer(), RECEIVE, Owner())
            mine = (peer.ice.ufrag, peer.ice.pwd)
            client.credentials(other.ice.ufrag, other.ice.pwd)
            await client.check()
            client.send_rtp(rtp(1))
            client.credentials(*mine)
            await client.check()
            client.send_rtp(rtp(2))
            await until(lambda: owner.packets)
            assert [packet for _, packet in owner.packets] == [rtp(2)]
            other.close("it is no more")
            client.send_rtp(rtp(3))
            await until(lambda: len(owner.packets) > 1)

    async def test_addresses_have_a_limit(self) -> None:
        async with port(WebRtcSettings(max_addresses=3)) as server, joined(server) as (client, peer, _):
            for _ in range(5):
                client.move()
                await client.check(nominate=False)
            assert len(peer.addresses) == 3 == len(peer.port.by_address)
            assert peer._remote in peer.addresses


class TestRestart:
    async def test_new_credentials_and_the_old_until_then(self) -> None:
        async with port() as server, joined(server) as (client, peer, owner):
            etag, old = peer.etag, (peer.ice.ufrag, peer.ice.pwd)
            answer = peer.trickle(RESTART)
            assert answer is not None and peer.etag != etag
            fresh = read_fragment(answer)
            assert (await client.check()).type == stun.BINDING_SUCCESS, "the old ones still do"
            assert peer.restart is not None and fresh.ice_ufrag == peer.restart.ufrag
            client.credentials(peer.restart.ufrag, peer.restart.pwd)
            client.move()
            await client.check()
            assert peer.restart is None and peer.ice.ufrag == fresh.ice_ufrag
            client.send_rtp(rtp(1))
            await until(lambda: owner.packets)
            client.credentials(*old)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.check()

    async def test_candidates_are_no_restart(self) -> None:
        async with port() as server:
            peer = server.accept(Client(IDENTITY).offer(), RECEIVE, Owner())
            etag = peer.etag
            assert peer.trickle("a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n") is None
            assert peer.trickle(RESTART.replace("fresh", "9f8+")) is None
            assert peer.etag == etag
            with pytest.raises(SdpError):
                peer.trickle("hello")


class TestEnds:
    async def test_goodbye(self) -> None:
        async with port() as server, joined(server) as (client, peer, owner):
            client.goodbye()
            await until(lambda: owner.ended)
            assert owner.ended == ["it said goodbye"] and peer.state == "closed" and server.peers() == 0

    async def test_ours_is_heard(self) -> None:
        async with port() as server, joined(server) as (client, peer, owner):
            peer.close("the room is closed")
            assert client.dtls is not None
            client.dtls.receive(await client.receive())
            assert client.dtls.closed and owner.ended == []
            peer.close("again")
            peer.end("again")
            assert owner.ended == []

    async def test_silence(self) -> None:
        async with port() as server, joined(server) as (_, peer, owner):
            peer.heard_at -= 9
            await until(lambda: owner.ended)
            assert owner.ended[0].startswith("it was not heard for ")

    async def test_who_never_comes(self) -> None:
        async with port() as server:
            owner = Owner()
            peer = server.accept(Client(IDENTITY).offer(), RECEIVE, owner)
            peer.opened_at -= 20
            await until(lambda: owner.ended)
            assert "public_addresses" in owner.ended[0]

    async def test_the_server_stops(self) -> None:
        owner = Owner()
        async with port() as server:
            server.accept(Client(IDENTITY).offer(), RECEIVE, owner)
        assert owner.ended == ["the server stops"]
        with pytest.raises(LimitReached, match="not served"):
            server.accept(Client(IDENTITY).offer(), RECEIVE, owner)

    async def test_another_certificate_than_offered(self) -> None:
        async with port() as server:
            client, owner = Client(IDENTITY), Owner()
            peer = server.accept(client.offer(), RECEIVE, owner)
            client.answered(peer.answer)
            client.identity = Identity()
            await client.connect()
            await until(lambda: owner.ended)
            assert "fingerprint" in owner.ended[0] and owner.connections == 0
            client.close()

    async def test_a_client_that_waits_is_opened_to(self) -> None:
        async with port() as server, joined(server, active=False) as (client, peer, owner):
            assert "a=setup:active" in peer.answer
            client.send_rtp(rtp(1))
            await until(lambda: owner.packets)

    async def test_a_hundred_in_a_row_leave_nothing(self) -> None:
        async with port() as server:
            before = len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())
            for number in range(100):
                async with joined(server) as (client, peer, owner):
                    peer.request_keyframe(peer.sections[1])
                    peer.trickle(RESTART)
                    if number % 2:
                        client.goodbye()
                        await until(lambda ended=owner.ended: ended)
                    else:
                        peer.close("enough")
            assert (len(os.listdir("/proc/self/fd")), len(asyncio.all_tasks())) == before
            assert not server._peers and not server._by_ufrag and server._sweeping is None
            assert not any(each.by_address for each in server._ports)


class TestLimits:
    async def test_peers(self) -> None:
        async with port(WebRtcSettings(max_peers=2)) as server:
            for _ in range(2):
                server.accept(Client(IDENTITY).offer(), RECEIVE, Owner())
            with pytest.raises(LimitReached, match="max_peers"):
                server.accept(Client(IDENTITY).offer(), RECEIVE, Owner())

    async def test_connecting(self) -> None:
        async with port(WebRtcSettings(max_connecting=1)) as server, joined(server):
            server.accept(Client(IDENTITY).offer(), RECEIVE, Owner())
            with pytest.raises(LimitReached, match="max_connecting"):
                server.accept(Client(IDENTITY).offer(), RECEIVE, Owner())

    async def test_strangers_leave_room_for_who_has_a_key(self) -> None:
        watch = replace(SEND, anonymous=True)
        async with port(WebRtcSettings(max_connecting=4, max_peers=10)) as server:
            for _ in range(2):
                server.accept(Client(IDENTITY).offer(offers.viewer()), watch, Owner())
            with pytest.raises(LimitReached, match="max_connecting"):
                server.accept(Client(IDENTITY).offer(offers.viewer()), watch, Owner())
            server.accept(Client(IDENTITY).offer(), RECEIVE, Owner())

    async def test_offers(self) -> None:
        async with port(WebRtcSettings(max_offer_bytes=4096)) as server:
            with pytest.raises(SdpError, match="4096"):
                server.accept(Client(IDENTITY).offer() + "a=x\r\n" * 1000, RECEIVE, Owner())
            assert server.peers() == 0


class TestSettings:
    @pytest.mark.parametrize(
        "settings",
        [
            WebRtcSettings(public_addresses=("live.example.com",)),
            WebRtcSettings(stun_servers=("http://stun.example.com",)),
            WebRtcSettings(turn_servers=("turn:turn.example.com",)),
        ],
    )
    async def test_what_cannot_be_used_ends_the_start(self, settings: WebRtcSettings) -> None:
        with pytest.raises(OperatorError):
            await WebRtcServer(settings).start()

    async def test_public_addresses_are_told(self) -> None:
        async with port(WebRtcSettings(public_addresses=("198.51.100.1", "2001:db8::1"))) as server:
            answer = server.accept(Client(IDENTITY).offer(), RECEIVE, Owner()).answer
            assert f" 198.51.100.1 {server.address[1]} typ host" in answer
            assert f" 2001:db8::1 {server.address[1]} typ host" in answer

    async def test_every_address_of_the_machine(self) -> None:
        server = WebRtcServer(WebRtcSettings())
        await server.start("0.0.0.0", 0)
        answer = server.accept(Client(IDENTITY).offer(), RECEIVE, Owner()).answer
        await server.stop()
        assert " 0.0.0.0 " not in answer and "a=candidate:1 1 udp" in answer

    async def test_several_ports(self) -> None:
        async with port(WebRtcSettings(port_count=3)) as server, contextlib.AsyncExitStack() as stack:
            found = [await stack.enter_async_context(joined(server)) for _ in range(6)]
            assert len({peer.port.address for _, peer, _ in found}) == 3
            for client, _, owner in found:
                client.send_rtp(rtp(1))
                await until(lambda packets=owner.packets: packets)

    async def test_ports_follow_one_another(self) -> None:
        several = WebRtcServer(WebRtcSettings(port_count=2))
        for number in range(40_000, 40_100, 2):  # others on this machine may have some
            with contextlib.suppress(OSError):
                assert await several.start("127.0.0.1", number) == ("127.0.0.1", number)
                break
        assert [each.address[1] for each in several._ports] == [number, number + 1]
        other = WebRtcServer(WebRtcSettings(port_count=2))
        with pytest.raises(OSError):
            await other.start("127.0.0.1", number + 1)
        assert not other._ports, "what was opened before the one that failed is closed"
        await several.stop()
        assert not several._ports

    async def test_ipv6(self) -> None:
        server = WebRtcServer(WebRtcSettings())
        try:
            await server.start("::1", 0)
        except OSError:
            pytest.skip("this machine has no IPv6")
        answer = server.accept(Client(IDENTITY).offer(), RECEIVE, Owner()).answer
        await server.stop()
        assert f" ::1 {server.address[1]} typ host" in answer and "c=IN IP6 ::1" in answer

    async def test_relays_with_a_shared_secret(self) -> None:
        """As coturn checks it: base64 of HMAC-SHA1 over the time of its end and a name."""
        settings = WebRtcSettings(turn_servers=("turn:turn.example.com",), turn_secret="north")
        (link,) = ice_server_links(settings, 1_700_000_000.5)
        assert 'username="1700086400:headwater"; credential="3ib2pJlvOR+LVuJsXdqjbVEldp0="' in link
        async with port(settings) as server:
            assert len(server.ice_server_links()) == 1

    async def test_servers_for_browsers(self) -> None:
        settings = WebRtcSettings(
            stun_servers=("stun:stun.example.com",),
            turn_servers=("turns:turn.example.com:443?transport=tcp",),
            turn_username="name",
            turn_credential='se"cret',
        )
        async with port(settings) as server:
            assert server.ice_server_links() == [
                '<stun:stun.example.com>; rel="ice-server"',
                '<turns:turn.example.com:443?transport=tcp>; rel="ice-server"; username="name"; '
                'credential="se\\"cret"; credential-type="password"',
            ]
