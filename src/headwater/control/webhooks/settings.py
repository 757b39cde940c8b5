"""The settings of webhook delivery, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from headwater.outbound import networks


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """How events are delivered to webhooks.

    Attributes:
        allow_networks: Networks besides the public ones that may be called, e.g. `["10.1.0.0/16", "127.0.0.1"]`. None
            by default: who may create webhooks must not reach what only this machine reaches.
        concurrency: Deliveries at once; receivers that fail may take half of them, so that they never stop the others.
        concurrency_per_webhook: Deliveries at once to one webhook, of different livestreams; a receiver is not flooded.
        timeout_s: Of one attempt, from resolving the name to the status; a receiver answers first and works later.
        retry_first_s: Pause after the first failed attempt; it doubles with each, less a random part of up to a half.
        retry_max_s: The longest pause, so that a receiver that is back after a day is found within the hour.
        give_up_s: How long a running server tries to deliver an event; then it stays in the log, to be
            sent again by hand.
        keep_finished: Deliveries of a webhook that stay in the log after they have succeeded or failed.
        keep_finished_s: Age at which those leave it.
    """

    allow_networks: tuple[str, ...] = ()
    concurrency: int = 16
    concurrency_per_webhook: int = 4
    timeout_s: float = 10.0
    retry_first_s: float = 1.0
    retry_max_s: float = 3600.0
    give_up_s: float = 86_400.0
    keep_finished: int = 1000
    keep_finished_s: float = 7 * 86_400.0

    def __post_init__(self) -> None:
        try:
            networks(self.allow_networks)
        except ValueError as error:
            raise ValueError(f"allow_networks: {error}") from None
