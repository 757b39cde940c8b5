"""Session descriptions of WebRTC (RFC 8866, RFC 8829): what a publisher or a viewer offers, what we answer. Pure.

description.py  text ─► lines by section, with limits        negotiation.py  offer + policy ─► sections
offer.py        lines ─► what the other side can do          answer.py       sections ─► text
fragment.py     the pieces that trickle ICE sends (RFC 8840)  errors.py       what is wrong, and what to do
"""
