"""RTP and RTCP from one publisher to many receivers without decoding. Pure: packets and the time come in and go out.

publisher ─► Upstream ──┬─► Downstream ─► receiver      numbers, times and names are the receiver's own
             │ History  └─► Downstream ─► receiver
             │ Gaps ─► NACK to the publisher
             │ Reception ─► receiver reports to the publisher
             └ Timebase ─► sender reports to receivers, on this server's clock
"""
