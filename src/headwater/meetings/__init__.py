"""Meetings: rooms where people meet, and the broadcast of what they see and hear."""
