"""How the demo practice behaves: everything that a test may switch."""

from dataclasses import dataclass, field

FAULTS = (
    "429", "throttle200", "408", "500", "502", "503", "504", "reset", "midbody", "timeout", "truncated", "nonjson",
    "partial",
)  # fmt: skip
DEMO_KEY = "gh_demo_synthetic"
KEY_REJECTIONS = ("401", "errors", "null")


@dataclass(frozen=True)
class Settings:
    """One behaviour of the server. The defaults are Healthie's, as far as they are documented.

    rate: requests a second and key that are answered; None for no limit. throttle: answer refusals as "200", "429" or
    "alternate". lockout_after: refusals after which everything is refused for lockout_s. latency_ms: least and most.
    faults: share of requests 0..1 that get each kind of fault (see FAULTS). null_every: rows whose number is a multiple
    come as null items. edit_every: one random live edit before every so-manieth page of a connection.
    """

    key: str = DEMO_KEY
    rejects_key_with: str = "401"
    rate: int | None = 250
    throttle: str = "alternate"
    retry_after_s: int | None = None
    lockout_after: int | None = None
    lockout_s: float = 60.0
    latency_ms: tuple[float, float] = (0.0, 0.0)
    faults: dict[str, float] = field(default_factory=dict)
    fault_seed: int = 0
    hang_s: float = 3_600.0
    is_after_sunset: bool = False
    allows_introspection: bool = True
    requests_per_client: bool = False
    summary_in_progress: bool = False
    null_every: int | None = None
    edit_every: int | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for a switch that does not exist."""
        for kind in self.faults:
            if kind not in FAULTS:
                raise ValueError(f"no fault named {kind!r}; there are: {', '.join(FAULTS)}.")
        if self.throttle not in ("200", "429", "alternate"):
            raise ValueError(f"throttle is {self.throttle!r}; it may be 200, 429 or alternate.")
        if self.rejects_key_with not in KEY_REJECTIONS:
            raise ValueError(f"rejects_key_with is {self.rejects_key_with!r}; it may be {', '.join(KEY_REJECTIONS)}.")
