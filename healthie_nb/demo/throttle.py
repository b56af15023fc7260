"""The rate limit: an exact sliding window a key, and the lock-out that follows too many refusals."""

from collections import deque
from collections.abc import Callable

WINDOW_S = 1.0


class Throttle:
    """Who may pass now. Only requests that passed count towards the window."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._passed: deque[float] = deque()
        self._locked_until = float("-inf")
        self._refusals_in_a_row = 0
        self.most_in_a_window = 0
        self.refused = 0

    def passes(self, rate: int | None, *, lockout_after: int | None, lockout_s: float) -> bool:
        """Whether one more request may pass; it is counted either way."""
        now = self._clock()
        while self._passed and self._passed[0] <= now - WINDOW_S:
            self._passed.popleft()
        if now >= self._locked_until and (rate is None or len(self._passed) < rate):
            self._passed.append(now)
            self._refusals_in_a_row = 0
            self.most_in_a_window = max(self.most_in_a_window, len(self._passed))
            return True
        self.refused += 1
        self._refusals_in_a_row += 1
        if lockout_after is not None and self._refusals_in_a_row >= lockout_after and now >= self._locked_until:
            self._locked_until = now + lockout_s
        return False
