"""Webhooks as the API takes and shows them: the product's shapes; deliveries and attempts are ours."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from headwater.control.api.schemas import NAME_LIMIT, PER_PAGE_DEFAULT, IsoTime, PageNo, PerPage

URL_LIMIT = 2048
"""Characters of a webhook's URL: as much as every HTTP server takes in a request line."""

EVENTS_LIMIT = 32
"""Names in one list; there are nine."""

EventName = Literal[
    "meeting.started",
    "meeting.ended",
    "meeting.participantJoined",
    "meeting.participantLeft",
    "meeting.chatSynced",
    "recording.statusUpdate",
    "livestreaming.statusUpdate",
    "meeting.transcript",
    "meeting.summary",
]
"""The product's names. Chats, transcripts and summaries do not exist here: who asks for them is never told of any."""

Name = Annotated[str, Meta(min_length=1, max_length=NAME_LIMIT, description="Name of the webhook.")]
Url = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=URL_LIMIT,
        description="URL the webhook will send events to: http or https, without credentials.",
        extra_json_schema={"format": "uri"},
    ),
]
Events = Annotated[list[EventName], Meta(min_length=1, max_length=EVENTS_LIMIT)]
DeliveryState = Literal["waiting", "delivered", "failed"]


class WebhookBody(Struct):
    """A webhook to be created, or to take the place of one."""

    name: Name
    url: Url
    events: Events
    enabled: bool = True


class EditWebhook(Struct):
    """What is not given stays."""

    name: Name | UnsetType = UNSET
    url: Url | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class Webhook(Struct):
    id: str
    name: str
    url: str
    events: list[EventName]
    enabled: bool
    created_at: IsoTime
    updated_at: IsoTime


class ListDeliveries(Struct):
    page_no: PageNo = 1
    per_page: PerPage = PER_PAGE_DEFAULT
    state: DeliveryState | None = None


class Delivery(Struct):
    """An event for one webhook.

    `id` is what `rtk-uuid` says. `about` is the livestream or the meeting: events about the same come in order.
    `attempts` counts since the event was queued, or sent again by hand. `status_code` and `error` are the last
    attempt's; `payload` is without stream keys for tokens without the admin permission.
    """

    id: str
    event: str
    about: str
    state: DeliveryState
    attempts: int
    status_code: int | None
    error: str | None
    created_at: IsoTime
    finished_at: IsoTime | None
    next_attempt_at: IsoTime | None
    payload: dict[str, Any]


class Attempt(Struct):
    """One request: `duration_ms` is the time to its end, `answer` the first bytes of the body that came back."""

    at: IsoTime
    duration_ms: int
    status_code: int | None
    error: str | None
    answer: str


class DeliveryWithAttempts(Struct):
    delivery: Delivery
    attempts: list[Attempt]
