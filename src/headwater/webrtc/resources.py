"""The HTTP of WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): an endpoint takes offers, a resource is a peer.

    POST    endpoint   application/sdp: an offer ─► 201 and the answer; Location is the resource
    OPTIONS endpoint   what is taken (Accept-Post), and the STUN and TURN servers (Link)
    PATCH   resource   application/trickle-ice-sdpfrag: candidates ─► 204; an ICE restart ─► 200 and our credentials
    DELETE  resource   goodbye ─► 200

A resource's name is as long as a key (128 bits) and told to nobody but who made it: it is what PATCH and DELETE need to
know. Tokens are looked at by the endpoint's owner alone, and may be renewed while a resource lives.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from headwater.errors import HeadwaterError, LimitReached
from headwater.protocols.sdp.errors import NotServed, SdpError
from headwater.protocols.sdp.fragment import MAX_FRAGMENT_BYTES
from headwater.webrtc.peer import DELETED, Acceptor, Peer

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
MAX_OFFER_BYTES = 64 * 1024
"""Of a body, before it is looked at; `webrtc.max_offer_bytes` may be less."""
RETRY_AFTER_S = 5
"""Where a limit was reached: those who connect need about as long."""

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_CORS = {
    "Access-Control-Allow-Origin": "*",  # what admits is the bearer, which no browser adds by itself
    "Access-Control-Expose-Headers": "Location, ETag, Link, Accept-Patch, Accept-Post, Retry-After",
}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "POST, PATCH, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match",
    "Access-Control-Max-Age": "86400",
}


@dataclass(eq=False)
class Refused(HeadwaterError):
    """An offer that the owner of an endpoint does not take.

    Attributes:
        status: Of the response: 401, 403, 404, 409 ...
        code: Short machine-readable reason, e.g. `ERR_MEETING_INACTIVE`.
        message: One sentence for a person.
        headers: Further ones, e.g. Retry-After.
    """

    status: int
    code: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class Endpoint(Protocol):
    """The owner of a WHIP or WHEP endpoint."""

    async def open(self, request: Request, offer: str, bearer: str | None) -> Peer:
        """Admit who calls and answer the offer (`Acceptor.accept`).

        Args:
            request: For path parameters, query and the caller's address; its body has been read.
            offer: The body, decoded.
            bearer: The token of the Authorization header, or None.

        Raises:
            Refused: with the response's status.
            SdpError: becomes 400.
            NotServed: becomes 406.
            LimitReached: becomes 503 with Retry-After.
        """


def endpoint_routes(path: str, endpoint: Endpoint, webrtc: Acceptor, *, resource_path: str) -> list[BaseRoute]:
    """The routes of one endpoint and its resources.

    Args:
        path: Of the endpoint, in Starlette's words: `/meet/{meeting_id}/whip`.
        resource_path: Of a resource: `/meet/{meeting_id}/whip/{resource}`. What it names but `resource` comes from
            `path`. Two endpoints may have the same: any of the routes serves all resources.
    """
    offers = _Offers(endpoint, webrtc, resource_path)
    resources = _Resources(webrtc)
    return [Route(path, offers.serve, methods=_METHODS), Route(resource_path, resources.serve, methods=_METHODS)]


def refusal(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """An error in the shape of all of ours, readable for pages of other origins."""
    body = {"success": False, "error": {"code": code, "message": message}}
    return JSONResponse(body, status, headers={**_CORS, **(headers or {})})


class _Offers:
    """An endpoint."""

    def __init__(self, endpoint: Endpoint, webrtc: Acceptor, resource_path: str) -> None:
        self._endpoint = endpoint
        self._webrtc = webrtc
        self._resource_path = resource_path

    async def serve(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            response = Response(status_code=204, headers={**_CORS, **_PREFLIGHT, "Accept-Post": SDP})
            return _linked(response, self._webrtc)
        if request.method != "POST":
            return _not_allowed(request.method, "POST, OPTIONS", "an endpoint takes offers by POST")
        return await _in_words(lambda: self._post(request))

    async def _post(self, request: Request) -> Response:
        offer = await _body(request, SDP, {"Accept-Post": SDP}, MAX_OFFER_BYTES)
        peer = await self._endpoint.open(request, offer, bearer_of(request))
        location = self._resource_path.format(**{**request.path_params, "resource": peer.id})
        headers = {**_CORS, "Location": location, "ETag": peer.etag, "Accept-Patch": FRAGMENT}
        return _linked(Response(peer.answer, 201, headers, media_type=SDP), self._webrtc)


class _Resources:
    """What an endpoint has made."""

    def __init__(self, webrtc: Acceptor) -> None:
        self._webrtc = webrtc

    async def serve(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={**_CORS, **_PREFLIGHT, "Accept-Patch": FRAGMENT})
        if request.method not in ("PATCH", "DELETE"):
            return _not_allowed(request.method, "PATCH, DELETE, OPTIONS", "a resource takes PATCH and DELETE")
        peer = self._webrtc.peer(request.path_params["resource"])
        if peer is None:
            return refusal(
                404, "ERR_NO_SUCH_RESOURCE", "there is no such resource: it was deleted, or the connection ended"
            )
        if request.method == "DELETE":
            peer.end(DELETED)
            return Response(status_code=200, headers=_CORS)
        return await _in_words(lambda: self._patch(request, peer))

    async def _patch(self, request: Request, peer: Peer) -> Response:
        matches = request.headers.get("if-match")
        if matches is None:
            message = "say which ICE session is meant: If-Match with the ETag, or * for an ICE restart (RFC 9725, 4.3)"
            raise Refused(428, "ERR_PRECONDITION_REQUIRED", message)
        tags = {tag.strip() for tag in matches.split(",")}
        if not tags & {"*", '"*"', peer.etag}:
            message = "the ICE session is another since: its ETag is not the one in If-Match"
            raise Refused(412, "ERR_PRECONDITION_FAILED", message, {"ETag": peer.etag})
        fragment = await _body(request, FRAGMENT, {"Accept-Patch": FRAGMENT}, MAX_FRAGMENT_BYTES)
        if peer.state == "closed":
            raise Refused(404, "ERR_NO_SUCH_RESOURCE", "the connection has ended meanwhile")
        answer = peer.trickle(fragment)
        if answer is None:
            return Response(status_code=204, headers={**_CORS, "ETag": peer.etag})
        return Response(answer, 200, {**_CORS, "ETag": peer.etag}, media_type=FRAGMENT)


def bearer_of(request: Request) -> str | None:
    """The token of `Authorization: Bearer ...` (RFC 6750, 2.1), or None."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


async def _in_words(serve: Callable[[], Awaitable[Response]]) -> Response:
    """Errors as responses."""
    try:
        return await serve()
    except Refused as error:
        headers = dict(error.headers)
        if error.status == 401:
            headers.setdefault("WWW-Authenticate", "Bearer")
        return refusal(error.status, error.code, error.message, headers)
    except NotServed as error:
        return refusal(406, "ERR_OFFER_NOT_SERVED", str(error))
    except SdpError as error:
        return refusal(400, "ERR_MALFORMED_SDP", str(error))
    except LimitReached as error:
        return refusal(503, "ERR_LIMIT_REACHED", str(error), {"Retry-After": str(RETRY_AFTER_S)})
    except ClientDisconnect:
        return refusal(400, "ERR_INCOMPLETE", "the request ended before its body did")


async def _body(request: Request, media_type: str, accepts: Mapping[str, str], most: int) -> str:
    """The text of a body.

    Raises:
        Refused: it is of another type, too long, empty or no text.
    """
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != media_type:
        raise Refused(415, "ERR_MEDIA_TYPE", f"the body must be {media_type}", accepts)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise Refused(413, "ERR_TOO_LARGE", f"the body may have {most} bytes at most")
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise SdpError("the body is no UTF-8 text") from None
    if not text.strip():
        raise SdpError("the body is empty")
    return text


def _linked(response: Response, webrtc: Acceptor) -> Response:
    for link in webrtc.ice_server_links():
        response.headers.append("Link", link)
    return response


def _not_allowed(method: str, allow: str, message: str) -> Response:
    return refusal(405, "ERR_METHOD", f"{method} is not done here: {message}", {"Allow": allow})
