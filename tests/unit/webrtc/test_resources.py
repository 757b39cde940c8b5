"""WHIP and WHEP over HTTP: RFC 9725's statuses and headers, clause by clause, with peers made of a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from headwater.errors import LimitReached
from headwater.protocols.sdp.errors import NotServed, SdpError
from headwater.webrtc.media import Policy, Section
from headwater.webrtc.peer import Peer, PeerHandler, State
from headwater.webrtc.resources import MAX_OFFER_BYTES, Refused, endpoint_routes

OFFER = "v=0\r\n"
SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


@dataclass
class FakePeer:
    """Remembers what it is told."""

    id: str = "0123456789abcdef0123456789abcdef"
    answer: str = "v=0\r\nanswer"
    etag: str = '"one"'
    state: State = "new"
    sections: tuple[Section, ...] = ()
    round_trip_ms: float | None = None
    remote: str = ""
    ended: list[str] = field(default_factory=list)
    fragments: list[str] = field(default_factory=list)

    def send_rtp(self, packet: bytes | bytearray) -> bool:
        return False

    def resend_rtp(self, section: Section, packet: bytes | bytearray) -> bool:
        return False

    def send_rtcp(self, compound: bytes) -> bool:
        return False

    def request_keyframe(self, section: Section) -> None: ...

    def trickle(self, fragment: str) -> str | None:
        self.fragments.append(fragment)
        if fragment.startswith("broken"):
            raise SdpError("it is broken")
        if fragment.startswith("restart"):
            self.etag = '"two"'
            return "a=ice-ufrag:new\r\n"
        return None

    def close(self, reason: str) -> None: ...

    def end(self, reason: str) -> None:
        self.ended.append(reason)


@dataclass
class Service:
    """An acceptor and the owner of an endpoint in one."""

    found: FakePeer = field(default_factory=FakePeer)
    error: Exception | None = None
    bearers: list[str | None] = field(default_factory=list)
    offers: list[str] = field(default_factory=list)

    def accept(self, offer: str, policy: Policy, handler: PeerHandler) -> Peer:
        return self.found

    def peer(self, identifier: str) -> Peer | None:
        return self.found if identifier == self.found.id and not self.found.ended else None

    def ice_server_links(self) -> Sequence[str]:
        return ['<stun:stun.example.com>; rel="ice-server"', '<turn:turn.example.com>; rel="ice-server"; username="u"']

    async def open(self, request: Request, offer: str, bearer: str | None) -> Peer:
        self.bearers.append(bearer)
        self.offers.append(offer)
        if self.error is not None:
            raise self.error
        return self.found


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def http(service: Service) -> httpx.AsyncClient:
    routes = endpoint_routes(
        "/meet/{meeting_id}/whip", service, service, resource_path="/meet/{meeting_id}/w/{resource}"
    )
    transport = httpx.ASGITransport(Starlette(routes=routes))
    return httpx.AsyncClient(transport=transport, base_url="http://live.example.com")


ENDPOINT = "/meet/m1/whip"
RESOURCE = f"/meet/m1/w/{FakePeer.id}"


class TestOffer:
    """RFC 9725, 4.2."""

    async def test_created(self, http: httpx.AsyncClient, service: Service) -> None:
        response = await http.post(ENDPOINT, content=OFFER, headers={**SDP, "Authorization": "Bearer abc"})
        assert (response.status_code, response.text) == (201, "v=0\r\nanswer")
        assert response.headers["content-type"] == "application/sdp"
        assert response.headers["location"] == RESOURCE
        assert response.headers["etag"] == '"one"'
        assert response.headers["accept-patch"] == "application/trickle-ice-sdpfrag"
        assert response.headers.get_list("link") == service.ice_server_links()
        assert service.bearers == ["abc"] and service.offers == [OFFER]

    @pytest.mark.parametrize("given", ["Basic abc", "Bearer ", "abc", ""])
    async def test_another_authorization_is_no_bearer(
        self, http: httpx.AsyncClient, service: Service, given: str
    ) -> None:
        await http.post(ENDPOINT, content=OFFER, headers={**SDP, "Authorization": given})
        assert service.bearers == [None]

    async def test_the_media_type_may_have_parameters(self, http: httpx.AsyncClient) -> None:
        response = await http.post(ENDPOINT, content=OFFER, headers={"Content-Type": "Application/SDP; charset=utf-8"})
        assert response.status_code == 201

    @pytest.mark.parametrize(
        ("error", "status", "code"),
        [
            (Refused(401, "ERR_TOKEN", "no such token"), 401, "ERR_TOKEN"),
            (Refused(409, "ERR_NOT_LIVE", "nobody publishes", {"Retry-After": "2"}), 409, "ERR_NOT_LIVE"),
            (SdpError("line 3 is none"), 400, "ERR_MALFORMED_SDP"),
            (NotServed("no common codec"), 406, "ERR_OFFER_NOT_SERVED"),
            (LimitReached("webrtc.max_peers", "full"), 503, "ERR_LIMIT_REACHED"),
        ],
    )
    async def test_refused(
        self, http: httpx.AsyncClient, service: Service, error: Exception, status: int, code: str
    ) -> None:
        service.error = error
        response = await http.post(ENDPOINT, content=OFFER, headers=SDP)
        body = response.json()
        assert (response.status_code, body["success"], body["error"]["code"]) == (status, False, code)
        assert str(error).split(": ")[-1] in body["error"]["message"]
        assert response.headers["access-control-allow-origin"] == "*"
        assert ("www-authenticate" in response.headers) == (status == 401)
        assert ("retry-after" in response.headers) == (status in (409, 503))

    @pytest.mark.parametrize(
        ("content", "headers", "status"),
        [
            (OFFER, {"Content-Type": "application/json"}, 415),
            (OFFER, {}, 415),
            ("", SDP, 400),
            (b"\xff\xfe", SDP, 400),
            ("x" * (MAX_OFFER_BYTES + 1), SDP, 413),
        ],
    )
    async def test_no_offer(
        self, http: httpx.AsyncClient, service: Service, content: bytes | str, headers: dict[str, str], status: int
    ) -> None:
        response = await http.post(ENDPOINT, content=content, headers=headers)
        assert response.status_code == status and not service.offers
        assert (response.headers.get("accept-post") == "application/sdp") == (status == 415)

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
    async def test_other_methods(self, http: httpx.AsyncClient, method: str) -> None:
        response = await http.request(method, ENDPOINT)
        assert (response.status_code, response.headers["allow"]) == (405, "POST, OPTIONS")


class TestOptions:
    async def test_of_the_endpoint(self, http: httpx.AsyncClient, service: Service) -> None:
        """A browser's preflight, and what RFC 9725, 4.2 says of OPTIONS."""
        response = await http.options(ENDPOINT)
        assert response.status_code == 204 and response.headers["accept-post"] == "application/sdp"
        assert "Authorization" in response.headers["access-control-allow-headers"]
        assert "POST" in response.headers["access-control-allow-methods"]
        assert response.headers.get_list("link") == service.ice_server_links()

    async def test_of_the_resource(self, http: httpx.AsyncClient) -> None:
        response = await http.options(RESOURCE)
        assert response.status_code == 204
        assert "PATCH" in response.headers["access-control-allow-methods"]
        assert "If-Match" in response.headers["access-control-allow-headers"]


class TestPatch:
    """RFC 9725, 4.3."""

    async def test_candidates(self, http: httpx.AsyncClient, service: Service) -> None:
        response = await http.patch(RESOURCE, content="a=candidate", headers={**FRAGMENT, "If-Match": '"one"'})
        assert (response.status_code, response.content) == (204, b"")
        assert service.found.fragments == ["a=candidate"]

    @pytest.mark.parametrize("matches", ["*", '"*"', '"one"', '"zero", "one"'])
    async def test_a_restart(self, http: httpx.AsyncClient, matches: str) -> None:
        response = await http.patch(RESOURCE, content="restart", headers={**FRAGMENT, "If-Match": matches})
        assert (response.status_code, response.text) == (200, "a=ice-ufrag:new\r\n")
        assert response.headers["etag"] == '"two"'
        assert response.headers["content-type"] == "application/trickle-ice-sdpfrag"

    @pytest.mark.parametrize(
        ("content", "headers", "status"),
        [
            ("a=candidate", FRAGMENT, 428),
            ("a=candidate", {**FRAGMENT, "If-Match": '"other"'}, 412),
            ("a=candidate", {**SDP, "If-Match": '"one"'}, 415),
            ("broken", {**FRAGMENT, "If-Match": '"one"'}, 400),
            ("x" * 20_000, {**FRAGMENT, "If-Match": '"one"'}, 413),
        ],
    )
    async def test_refused(
        self, http: httpx.AsyncClient, service: Service, content: str, headers: dict[str, str], status: int
    ) -> None:
        response = await http.patch(RESOURCE, content=content, headers=headers)
        assert response.status_code == status and response.json()["error"]["message"]
        assert service.found.fragments == (["broken"] if content == "broken" else [])

    async def test_no_such_resource(self, http: httpx.AsyncClient) -> None:
        response = await http.patch(RESOURCE[:-1] + "0", content="a=candidate", headers={**FRAGMENT, "If-Match": "*"})
        assert response.status_code == 404


class TestDelete:
    """RFC 9725, 4.2."""

    async def test_the_owner_is_told(self, http: httpx.AsyncClient, service: Service) -> None:
        response = await http.delete(RESOURCE)
        assert response.status_code == 200 and service.found.ended == ["its resource was deleted"]
        assert (await http.delete(RESOURCE)).status_code == 404

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST"])
    async def test_other_methods(self, http: httpx.AsyncClient, method: str) -> None:
        response = await http.request(method, RESOURCE)
        assert (response.status_code, response.headers["allow"]) == (405, "PATCH, DELETE, OPTIONS")
