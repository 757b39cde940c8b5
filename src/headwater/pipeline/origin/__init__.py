"""Segments and parts in, HTTP responses out."""
