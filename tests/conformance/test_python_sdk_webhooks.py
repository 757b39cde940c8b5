"""The official Python SDK's `realtime_kit.webhooks`, with strict response validation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cloudflare
import pytest
from cloudflare import Cloudflare

from tests.conformance.service import Service

URL = "https://9.9.9.9/hook"


@pytest.fixture
def webhooks(service: Service) -> Iterator[Any]:
    access = service.credentials
    client = Cloudflare(
        base_url=access.base_url, api_token=access.api_token, max_retries=0, _strict_response_validation=True
    )
    yield client.realtime_kit.webhooks


@pytest.fixture
def ids(service: Service) -> dict[str, Any]:
    return {"account_id": service.credentials.account_id}


@pytest.fixture
def app(service: Service) -> str:
    return service.credentials.app_id


def test_create_get_list_edit_replace_delete(webhooks: Any, app: str, ids: dict[str, Any]) -> None:
    made = webhooks.create_webhook(app, **ids, name="all", url=URL, events=["livestreaming.statusUpdate"])
    assert made.success is True
    assert (made.data.name, made.data.url, made.data.enabled) == ("all", URL, True)
    of = {**ids, "app_id": app}
    assert webhooks.get_webhook_by_id(made.data.id, **of).data.id == made.data.id
    assert [one.id for one in webhooks.get_webhooks(app, **ids).data] == [made.data.id]
    edited = webhooks.edit_webhook(made.data.id, **of, enabled=False).data
    assert (edited.enabled, edited.name, edited.events) == (False, "all", ["livestreaming.statusUpdate"])
    replaced = webhooks.replace_webhook(made.data.id, **of, name="new", url=URL, events=["meeting.started"]).data
    assert (replaced.enabled, replaced.name, replaced.events) == (True, "new", ["meeting.started"])
    assert replaced.created_at == made.data.created_at
    assert replaced.updated_at >= edited.updated_at
    assert webhooks.delete_webhook(made.data.id, **of).data.id == made.data.id
    with pytest.raises(cloudflare.NotFoundError):
        webhooks.get_webhook_by_id(made.data.id, **of)


def test_all_of_the_products_events_are_accepted(webhooks: Any, app: str, ids: dict[str, Any]) -> None:
    events = ["meeting.started", "meeting.ended", "meeting.participantJoined", "meeting.participantLeft"]
    events += ["meeting.chatSynced", "recording.statusUpdate", "livestreaming.statusUpdate"]
    events += ["meeting.transcript", "meeting.summary"]
    made = webhooks.create_webhook(app, **ids, name="all", url=URL, events=events).data
    assert made.events == events
    webhooks.delete_webhook(made.id, **ids, app_id=app)


def test_a_wrong_one_is_a_bad_request(webhooks: Any, app: str, ids: dict[str, Any]) -> None:
    with pytest.raises(cloudflare.BadRequestError):
        webhooks.create_webhook(
            app, **ids, name="all", url="https://user:password@9.9.9.9/", events=["meeting.started"]
        )
    with pytest.raises(cloudflare.BadRequestError):
        webhooks.create_webhook(app, **ids, name="all", url=URL, events=["meeting.begun"])
