"""What operators look at: metrics, health, readiness, traces.

    state of the parts ──(when asked)──► metrics.py, readiness.py ──► routes.py: /metrics, /healthz, /readyz
    events.py ──► counts.py (plain integers), session_spans.py (traces, where they are configured)

Nothing is counted per access unit or per request that is not an integer added in place; everything else is read from
the parts when somebody asks. Absent on purpose: the parts themselves, which `sources.py` names by small Protocols.
"""
