"""A small typed client of the API, sync and async."""
