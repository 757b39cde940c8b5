"""Webhooks: `outbox` stores what is to be told, `dispatcher` tells it, `payloads` says how it is put."""
