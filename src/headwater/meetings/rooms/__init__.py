"""Rooms: where the participants of a meeting see and hear each other.

    signalling.py ─ HTTP: publish (WHIP), receive (WHEP), mute, leave, livestream
    feed.py       ─ HTTP: what is going on in a room, as server-sent events
         │
    rooms.py      the open rooms of this server: joins peers to rooms, passes time on, answers the API
         │
    room.py       one meeting's session: who is inside, what they send, who may do what      pure
    speaking.py   who is speaking                                                            pure
    publication.py, subscription.py   a peer that publishes, a peer that receives
         │
    forwarding/   RTP from one publisher to many, without decoding                           pure
    tap.py        a room as the compositor hears and sees it

Time comes in as an argument: seconds of one monotonic clock, beside them wall-clock milliseconds where people read it.
"""
