"""The process that makes one picture and one sound of a meeting.

    socket ──wire──► intake (thread): depacketize, decode ──► frames, rings
                                                                │
    RTMP ◄── publisher (event loop) ◄── encoders ◄── output clock (thread): canvas, mix

`layout`, `scene` say what stands where; `labels`, `canvas` paint; `timing`, `sound` keep the clocks and the mix;
`output` pulls. `headwater.meetings.broadcast` is the parent.
"""
