"""The border to kafka-python: its many errors become the few of streamwatch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kafka import errors

from streamwatch.errors import (
    BrokerAuthError,
    BrokerError,
    BrokerRightError,
    BrokerUnreachable,
    MembershipLost,
)

PASSING = (
    errors.RetriableError,
    errors.CoordinatorNotAvailableError,
    errors.CoordinatorLoadInProgressError,
    errors.NotCoordinatorError,
)
"""What goes by itself: a broker that starts again, a coordinator that moves, a request that took too long."""

_RIGHTS = (
    errors.TopicAuthorizationFailedError,
    errors.GroupAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
)
_MEMBERSHIP = (
    errors.CommitFailedError,
    errors.UnknownMemberIdError,
    errors.IllegalGenerationError,
    errors.RebalanceInProgressError,
)
_ABSENT = (errors.KafkaTimeoutError, errors.KafkaConnectionError, errors.NodeNotReadyError)


def broker_error(error: Exception, doing: str) -> BrokerError:
    """Turn an error of kafka-python into the one that tells the user what to check.

    Args:
        error: What kafka-python raised.
        doing: What was tried, such as `write to stream streamwatch.scored`.

    >>> broker_error(errors.TopicAuthorizationFailedError(), "read stream a")
    BrokerRightError("cannot read stream a: the broker's access rules do not allow it; give this user the right")
    >>> broker_error(errors.KafkaTimeoutError("30 s"), "commit")
    BrokerUnreachable('cannot commit: the broker does not answer (KafkaTimeoutError: 30 s)')
    """
    if isinstance(error, _RIGHTS) or "AuthorizationFailedError" in str(error):  # kafka-python wraps some in KafkaError
        return BrokerRightError(f"cannot {doing}: the broker's access rules do not allow it; give this user the right")
    if isinstance(error, errors.SaslAuthenticationFailedError):
        return BrokerAuthError(f"cannot {doing}: the broker refuses the user name or the password")
    if isinstance(error, errors.FencedInstanceIdError):
        return BrokerError(f"cannot {doing}: another process has joined under the same member name; run only one")
    if isinstance(error, _MEMBERSHIP):
        return MembershipLost(f"cannot {doing}: the group gave the partitions to another member")
    if isinstance(error, errors.UnknownTopicOrPartitionError):
        return BrokerError(f"cannot {doing}: the stream or the partition does not exist")
    if isinstance(error, _ABSENT):
        return BrokerUnreachable(f"cannot {doing}: the broker does not answer ({error})")
    return BrokerError(f"cannot {doing}: {error}")


@contextmanager
def kafka_faults(doing: str) -> Iterator[None]:
    """Raise what kafka-python raises inside as an error of streamwatch.

    Args:
        doing: What is tried, as in `broker_error`.

    Raises:
        BrokerError: Kafka did not do it.
    """
    try:
        yield
    except errors.KafkaError as error:
        raise broker_error(error, doing) from error
