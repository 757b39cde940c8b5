"""Durable facts in, aggregates out: what livestream sessions add up to, over a time range and day by day."""
