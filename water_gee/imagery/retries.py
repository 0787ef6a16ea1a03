"""Asking the service until it answers: one policy for what passes and what does not.

What passes is asked again after a random time that grows: 429, 5xx, time-outs, connections that
break, answers cut short. What cannot succeed is not. Where nobody answers at all, which is not one
tile's fault, everything waits together for the service to come back.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

import tenacity

from water_gee import session
from water_gee.errors import DownloadError, SessionError, TruncatedError
from water_gee.imagery.pace import Slot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from water_gee.imagery.pace import Pace

    Answer = TypeVar("Answer")

LOG = logging.getLogger("water_gee")

SERVICE = logging.getLogger("water_gee.service")
"""What concerns the whole run; the command line shows it, which it does not with single tiles."""

ATTEMPTS = 8
"""Requests for one thing, the first among them."""

WAIT = tenacity.wait_random_exponential(multiplier=1, max=60)
"""Seconds before the next: at random up to 1, 2, 4 ... 60, so that threads do not return as one."""

PATIENCE_SECONDS = 600.0
"""How long to wait for a service that no longer answers anything."""

PROBE_SECONDS = 10.0
"""At most so long between two requests to a service that does not answer."""

SILENT = 3
"""So many requests in a row without any answer, of whichever thread, mean that it is gone."""

FIRST_SECONDS = 90.0
"""After which the first attempt is given up while nobody knows how long answers take."""

LEAST_SECONDS = 10.0
"""No request is given up earlier once that is known."""

SLACK = 6.0
"""Times the time that 19 of 20 requests take, after which the first attempt is given up. Each
further attempt has twice as long, up to the session's deadline."""

_KNOWN = 20
"""Answers before their times say anything."""

TRANSIENT = {408, 429, 500, 502, 503, 504}
"""HTTP statuses that pass; 400, 401, 403, 404 do not, and 501 means never."""


class Stopped(Exception):  # noqa: N818  (no error)
    """A request that was not sent, for the run was stopped before."""


def passes(error: BaseException) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(error, TruncatedError):
        return True
    status = session.http_status(error)
    if status is not None:
        return status in TRANSIENT
    # With a server of our own that has ended there is no later.
    return session.is_gone(error) and session.alive()


class Asker:
    """Asks on behalf of many threads.

    Attributes:
        stop: Set it, and nothing is tried again.
        retried: Requests that were repeated, so far.

    Args:
        pace: How many at once; None: nobody counts.
        stop: As above.
    """

    def __init__(self, pace: Pace | None = None, stop: threading.Event | None = None) -> None:
        self.stop = stop if stop is not None else threading.Event()
        self.retried = 0
        self._pace = pace
        self._outage = _Outage(self.stop)
        self._seconds: deque[float] = deque(maxlen=100)
        self._lock = threading.Lock()

    @property
    def gone(self) -> bool:
        """Whether nobody answers at this moment."""
        return self._outage.gone()

    def ask(self, request: Callable[[], Answer], what: str = "") -> tuple[Answer, int]:
        """Call the service until it answers, or gives a reason that does not pass.

        Args:
            request: Sends one request; called again for the next attempt.
            what: Is asked for, for the log.

        Returns:
            The answer, and the number of attempts.

        Raises:
            SessionError: Nobody answers after all attempts, or the account is refused.
            DownloadError: No answer in time, or one cut short, attempt after attempt.
            Stopped: Nothing was asked, for `stop` is set.
            Exception: What the client raises for anything else.
        """
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_when_event_set(self.stop),
            wait=WAIT,
            sleep=tenacity.sleep_using_event(self.stop),
            retry=tenacity.retry_if_exception(passes),
            before_sleep=lambda state: self._note_retry(state, what),
            reraise=True,
        )
        number = 0
        with session.talking():
            try:
                for attempt in retrying:
                    with attempt:
                        number = attempt.retry_state.attempt_number
                        return self._while_it_answers(request, number), number
            except TimeoutError as error:
                raise DownloadError(f"no answer in time, {number} times: {error}") from error
        raise AssertionError("tenacity returns or raises")

    def _while_it_answers(self, request: Callable[[], Answer], attempt: int) -> Answer:
        """Ask once, or, while the service is gone, until it is back or patience ends."""
        while True:
            with self._outage.turn():
                try:
                    answer = self._send(request, attempt)
                except Stopped:
                    raise
                except Exception as error:
                    if not _is_silence(error):
                        self._outage.answered()
                        raise
                    if session.alive() and self._outage.silent(error):
                        continue
                    if self._outage.over:
                        raise SessionError(
                            f"the service no longer answers, since {PATIENCE_SECONDS:.0f} s: "
                            f"{error}; check the network or the server, then run the same again"
                        ) from error
                    raise
                self._outage.answered()
                return answer

    def _send(self, request: Callable[[], Answer], attempt: int) -> Answer:
        with contextlib.ExitStack() as stack:
            slot = stack.enter_context(self._pace.slot()) if self._pace is not None else Slot(0.0)
            if self.stop.is_set():
                raise Stopped
            began = time.monotonic()
            try:
                with session.within(self._timeout(attempt)):
                    answer = request()
            except Exception as error:
                slot.refused = session.http_status(error) in (429, 503)
                # It would have taken so long at least.
                slot.answered = isinstance(error, TimeoutError)
                raise
            else:
                slot.answered = True
                return answer
            finally:
                if slot.answered:
                    with self._lock:
                        self._seconds.append(time.monotonic() - began)

    def _timeout(self, attempt: int) -> float:
        with self._lock:
            known = sorted(self._seconds)
        longest = FIRST_SECONDS
        if len(known) >= _KNOWN:
            longest = max(LEAST_SECONDS, SLACK * known[int(0.95 * len(known))])
        return min(session.DEADLINE_SECONDS, longest * 2.0 ** (attempt - 1))

    def _note_retry(self, state: tenacity.RetryCallState, what: str) -> None:
        with self._lock:
            self.retried += 1
        error = state.outcome.exception() if state.outcome is not None else None
        if error is not None:
            status = session.http_status(error)
            LOG.warning(
                "%s attempt %d: %s",
                *(what, state.attempt_number, f"HTTP {status}: {error}" if status else error),
            )


def _is_silence(error: BaseException) -> bool:
    """Whether there was no answer of the service itself: none at all, or its front end's."""
    if isinstance(error, TimeoutError):
        return False  # somebody is there, and slow
    return session.is_gone(error) or session.http_status(error) in (502, 503, 504)


class _Outage:
    """Whether the service answers at all; while it does not, one thread at a time tries."""

    def __init__(self, stop: threading.Event) -> None:
        self.over = False
        self._stop = stop
        self._lock = threading.Lock()
        self._probe = threading.Lock()
        self._unanswered = 0
        self._since = math.inf
        self._probes = 0

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Let a request pass; while the service is gone, one after the other, with pauses."""
        while self.gone():
            with self._probe:
                if self.gone():
                    self._stop.wait(min(PROBE_SECONDS, 2.0 ** min(self._probes, 10)))
                    self._probes += 1
                    yield
                    return
        yield

    def answered(self) -> None:
        """Note that the service is there."""
        with self._lock:
            gone, since = self.gone(), self._since
            self._unanswered, self._probes, self._since = 0, 0, math.inf
        if gone:
            SERVICE.warning("the service answers again, after %.0f s", time.monotonic() - since)

    def silent(self, error: BaseException) -> bool:
        """Note a request without answer; returns whether to wait for the service and ask again."""
        with self._lock:
            was_gone = self.gone()
            self._unanswered += 1
            self._since = min(self._since, time.monotonic())
            patience = self._since + PATIENCE_SECONDS - time.monotonic()
            gone = self.gone()
        if gone and not was_gone:
            SERVICE.warning(
                "nobody answers (%s); waiting up to %.0f s for the service", error, patience
            )
        if gone and patience <= 0:
            self.over = True
            self._stop.set()
        return gone and not self._stop.is_set()

    def gone(self) -> bool:
        """Whether several requests in a row had no answer."""
        return self._unanswered >= SILENT


def attempts(
    request: Callable[[], Any], stop: threading.Event | None = None, what: str = ""
) -> Any:
    """Ask for one thing, as `Asker.ask` does."""
    return Asker(stop=stop).ask(request, what)[0]


_hidden = threading.Lock()
_switched_off: list[int] = []
"""The client's own number of retries, once for everybody who has switched them off."""


@contextlib.contextmanager
def own_retries() -> Iterator[None]:
    """Switch the client's own retries off: it hides five of 429 and 5xx inside each attempt."""
    from ee import data

    with _hidden:
        _switched_off.append(_switched_off[0] if _switched_off else data._get_state().max_retries)
        data.setMaxRetries(0)
    try:
        yield
    finally:
        with _hidden:
            before = _switched_off.pop()
            if not _switched_off:
                data.setMaxRetries(before)
