"""Every failure by its name, by what is to be done about it.

What the server or a library says is not passed on whole: it may quote the key, a variable or a client's data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import aiohttp

from healthie_nb.query import HealthieError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gql.transport.exceptions import TransportError

RETRIED_STATUS = {408, 500, 502, 503, 504}
KEY_CODES = {"UNAUTHENTICATED", "UNAUTHORIZED", "FORBIDDEN", "INVALID_API_KEY", "INVALID_TOKEN"}
VERSION_CODES = {"UNSUPPORTED_API_VERSION", "MISSING_API_VERSION_HEADER"}

# What GraphQL servers and Healthie's say of a request. No other word of theirs is passed on: it may be a client's.
PLAIN = frozenset(
    re.findall(
        r"[\w']+",
        """
        a access account again allowed an and api are argument arguments at authenticated authorized be been before
        below both but by can cannot client code complexity could cursor data date declared denied depth did
        different do does doesn't due duplicate either empty enough enum error errors exceeds exist exists expected
        failed fetch field fields first for format found fragment from given has have id in incorrect input int
        integer internal invalid is it json key last later like limit list long longer max maximum mean missing more
        most must name names neither no non nor not null object of on one only operation or page parameter parse
        passed permission permitted please present provided query range request required requires resolve resource
        response retry return returned scalar schema selection selections served server service set should size
        something string subfield subfields subselections such supported syntax than that the there they this time
        timed timeout to together token too try type unauthorized unavailable undefined unexpected unknown unused
        use used user valid validate value values variable variables version was went were which with within wrong
        you your
        """,
    )
)


class ApiError(HealthieError):
    """The API answered with something other than the data asked for."""


class AuthenticationError(ApiError):
    """The key was not accepted."""


class VersionError(ApiError):
    """The API version that was asked for is not served."""


class TooComplexError(ApiError):
    """The request costs more than the server allows; a smaller page may fit."""


class ConnectionFailedError(ApiError):
    """The endpoint cannot be reached, or its certificate is not valid."""


class LockedOutError(ApiError):
    """The server has refused every request for over a minute."""


class UnavailableError(ApiError):
    """A passing failure that did not pass in time."""


class PartialError(ApiError):
    """Errors beside data: some of what was asked for is not in the answer."""


class ThrottledError(ApiError):
    """Refused for now."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("too many requests")
        self.retry_after_s = retry_after_s


class PassingError(ApiError):
    """A failure that a second try may not meet."""


@dataclass
class Trace:
    """What the transport keeps to itself: the answer's status, how long it asks us to wait, and the server's time."""

    status: int = 0
    retry_after: str = ""
    date: str = ""


def below_graphql(error: TransportError, trace: Trace, host: str) -> ApiError:
    """Return what went wrong on the way. The error's own text is left behind: it may quote the answer."""
    if named := by_status(trace, host):
        return named
    match error.__cause__:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            advice = "the TLS certificate or handshake failed; check HEALTHIE_API_URL and this machine's clock"
        case aiohttp.ClientConnectorDNSError():
            advice = "no such host can be found; check HEALTHIE_API_URL and the network"
        case aiohttp.ClientConnectorError() | aiohttp.InvalidURL():
            advice = "no connection can be made; check HEALTHIE_API_URL, the network and any proxy"
        case TimeoutError():
            return PassingError("no answer in time")
        case None if trace.status:
            return PassingError("an answer that is not GraphQL (a web page, empty, or cut off)")
        case _:
            return PassingError("the connection broke")
    return ConnectionFailedError(f"{host}: {advice}")


def by_status(trace: Trace, host: str) -> ApiError | None:
    """Return what the status alone says went wrong; None where it says nothing."""
    status = trace.status
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    if status < HTTPStatus.BAD_REQUEST:
        return ConnectionFailedError(
            f"{host} redirects elsewhere, where the key does not follow; check HEALTHIE_API_URL"
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ThrottledError(_seconds(trace.retry_after))
    if status in RETRIED_STATUS:
        return PassingError(f"HTTP {status}")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return AuthenticationError(
            f"{host} does not accept the key; check HEALTHIE_API_KEY (a gh_live key is for production, a gh_sbox key "
            "for Healthie's test environment)"
        )
    return ApiError(f"{host} answered HTTP {status}; check HEALTHIE_API_URL, which ends in /graphql")


def in_answer(errors: Sequence[Mapping[str, Any]], trace: Trace, query: str, *, is_partial: bool = False) -> ApiError:
    """Return what the errors of a GraphQL answer mean. `query` is the text that was sent."""
    extensions = [error.get("extensions") or {} for error in errors]
    codes = {str(extension.get("code", "")) for extension in extensions}
    said = str(errors[0].get("message", "")) if errors else ""
    message = _safe(said, query)
    if "TOO_MANY_REQUESTS" in codes or said.startswith("Too many requests"):
        return ThrottledError(_seconds(trace.retry_after))
    if codes & VERSION_CODES:
        latest = [str(extension["latest_version"]) for extension in extensions if extension.get("latest_version")]
        advice = f"set HEALTHIE_API_VERSION to {latest[0]}" if latest else "unset HEALTHIE_API_VERSION"
        return VersionError(f"the API does not serve the version asked for ({message}); {advice}")
    if codes & KEY_CODES or re.search(r"api key|not authenticated|unauthori[sz]ed", said, re.IGNORECASE):
        return AuthenticationError(f"the key is not accepted, or may not see this ({message}); check HEALTHIE_API_KEY")
    if "which exceeds max" in said:
        limit = re.search(r"(complexity|depth) of \d+, which exceeds max (complexity|depth) of \d+", said)
        return TooComplexError(f"the query has a {limit[0]}" if limit else message)
    if not errors or trace.status in RETRIED_STATUS or codes & {"INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE"}:
        return PassingError(f"the server failed ({message or 'neither data nor errors'})")
    return (PartialError if is_partial else ApiError)(f"the API answered with errors: {message}")


def _safe(message: str, query: str) -> str:
    """Return a server's message without what it may quote: a word stays if the query has it or if it is plain."""
    known = {*re.findall(r"\w+", query), *PLAIN}

    def kept(match: re.Match[str]) -> str:
        word = match[0]
        return word if word in known or word.lower() in PLAIN else "…"

    return re.sub(r"[\w@.+-]*\w(?:'t\b)?", kept, message)[:200]


def _seconds(retry_after: str) -> float:
    """Return the seconds that a Retry-After header asks for: a number, or a date."""
    if re.fullmatch(r"\d+(\.\d+)?", retry_after.strip()):
        return float(retry_after)
    try:
        then = parsedate_to_datetime(retry_after)
    except (TypeError, ValueError):
        return 0.0
    return max(0.0, (then - datetime.now(UTC)).total_seconds()) if then.tzinfo else 0.0
