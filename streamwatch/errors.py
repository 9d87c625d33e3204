"""The errors of streamwatch, one tree.

StreamwatchError
├── ConfigError               a setting is wrong: stops the program at start
├── BadRecord                 one message is wrong: goes to the dead letters, the stream goes on
├── BrokerError               Kafka does not do what it was asked
│   ├── BrokerUnreachable     nobody answers at the address
│   ├── BrokerAuthError       the broker answers, and refuses who we are
│   ├── BrokerTlsError        the broker answers, and the TLS handshake fails
│   ├── BrokerRightError      the broker knows us, and we may not do this
│   ├── MembershipLost        the group gave our partitions to another member
│   └── StreamMismatch        a stream is not as the tables or the settings expect it
├── ModelError                the model cannot be loaded or run
│   └── EncoderMissing        the encoder's package is not installed
├── PackageMissing            an extra's package is not installed
├── StoreError                a table cannot be read or written
├── QueryRefused              a query is not allowed, or wrong
├── QueryTooLong              a query takes more time or memory than it may
├── SourceError               what posts come from cannot be used
│   └── FeedError             a feed cannot be fetched or read: it is reported, the others go on
├── TaxonomyError             a desk's topics or intents cannot be learnt or read
├── AlertmanagerError         Alertmanager refuses or does not answer
└── StageError                a stage stopped and could not be started again
"""

from __future__ import annotations


class StreamwatchError(Exception):
    """Base of every error that streamwatch raises on purpose."""


class ConfigError(StreamwatchError):
    """Say which setting is wrong, where it stands, what was found and what was expected.

    Args:
        place: File or environment variable that holds the setting.
        key: Dotted name of the setting, such as `kafka.partitions`.
        found: What stands there.
        expected: What would be right, as a phrase.
    """

    def __init__(self, place: str, key: str, found: object, expected: str) -> None:
        super().__init__(f"{place}: {key}: found {found!r}, expected {expected}")
        self.place = place
        self.key = key
        self.found = found
        self.expected = expected

    def __reduce__(self) -> tuple[type[ConfigError], tuple[str, str, object, str]]:
        return ConfigError, (self.place, self.key, self.found, self.expected)


class BadRecord(StreamwatchError):
    """A message that cannot be handled; its text is the reason that the dead letter carries."""


class BrokerError(StreamwatchError):
    """Kafka did not do what it was asked; the message says why and what to check."""


class BrokerUnreachable(BrokerError):
    """Nobody answers at the broker's address."""


class BrokerAuthError(BrokerError):
    """The broker refuses the user name or the password."""


class BrokerTlsError(BrokerError):
    """The TLS handshake with the broker fails."""


class BrokerRightError(BrokerError):
    """The broker's access rules do not allow this."""


class MembershipLost(BrokerError):
    """The group gave our partitions to another member; drop what is in flight and poll again, it comes again."""


class StreamMismatch(BrokerError):
    """A stream has other partitions or fewer messages than what was already taken from it."""


class ModelError(StreamwatchError):
    """The model cannot be loaded or run."""


class EncoderMissing(ModelError):
    """The encoder's package is not installed; the message holds the command that installs it."""


class PackageMissing(StreamwatchError):
    """A package of an extra is not installed; the message holds the command that installs it."""


class StoreError(StreamwatchError):
    """A table cannot be read or written."""


class QueryRefused(StreamwatchError):
    """A query is not a SELECT over the tables, or wrong."""


class QueryTooLong(StreamwatchError):
    """A query takes more time or memory than it may."""


class SourceError(StreamwatchError):
    """What posts come from cannot be used."""


class FeedError(SourceError):
    """A feed cannot be fetched or read.

    Args:
        found: What was found.
        advice: What to do.
        status: The HTTP status, if there was an answer.
        retry_after_s: How long the server asks to be left alone.
    """

    def __init__(
        self, found: str, advice: str, *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{found}: {advice}")
        self.found = found
        self.advice = advice
        self.status = status
        self.retry_after_s = retry_after_s


class TaxonomyError(StreamwatchError):
    """A desk's topics or intents cannot be learnt or read."""


class AlertmanagerError(StreamwatchError):
    """Alertmanager refuses an alert or does not answer."""


class StageError(StreamwatchError):
    """A stage stopped and could not be started again."""
