"""Durable facts in, aggregates out."""
