"""The one tree of errors, ordered by who must act.

    HeadwaterError
    ├── PublisherError          the publisher: its bitstream, its key, its codec
    │   ├── ProtocolError           bytes that break the protocol they claim to speak
    │   ├── PublishRefused          a publish that was understood and is not admitted
    │   └── UnsupportedCodec        media that we cannot package
    ├── CallerError             who calls the API or plays the stream: a bad request
    ├── OperatorError           the operator: configuration, disk, database, destination
    └── LimitReached            nobody: a named limit was reached

Bugs are assertions, not members of this tree.
"""


class HeadwaterError(Exception):
    """Root of every error that Headwater raises on purpose."""


class PublisherError(HeadwaterError):
    """The publisher must act."""


class ProtocolError(PublisherError):
    """The peer broke the protocol; parsers raise this family and no other."""


class PublishRefused(PublisherError):
    """A publish that is not admitted.

    Attributes:
        code: Short machine-readable reason, e.g. `ERR_BAD_STREAM_KEY`, `ERR_LIVESTREAM_DISABLED`.
        description: One sentence for the publisher's log; never holds the key.
    """

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description


class UnsupportedCodec(PublisherError):
    """Media in a codec, profile or packing that cannot be delivered.

    Attributes:
        code: `ERR_UNSUPPORTED_VIDEO_CODEC` or `ERR_UNSUPPORTED_AUDIO_CODEC`.
        description: What came and what is supported.
    """

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code
        self.description = description


class CallerError(HeadwaterError):
    """The caller of the API, or a viewer, must act."""


class OperatorError(HeadwaterError):
    """The operator must act: configuration, disk, database, destination."""


class LimitReached(HeadwaterError):
    """A named limit was reached.

    Attributes:
        limit: The limit's name as the configuration spells it.
    """

    def __init__(self, limit: str, description: str) -> None:
        super().__init__(f"{limit}: {description}")
        self.limit = limit
