"""Headwater: a self-hosted livestream service.

The way of the data: `pipeline.ingest` -> `pipeline.livestream` -> `pipeline.packager` -> `pipeline.origin` and
`pipeline.recorder`. The control plane stands beside it in `control`; `app` joins the two.
"""

__version__ = "0.1.0"
