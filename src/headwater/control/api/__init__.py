"""The REST API: `operations` says what there is, `routes/` does it, `application` speaks HTTP for all of it alike."""
