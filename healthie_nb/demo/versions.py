"""The version header: which dates are published, and what Healthie says about old ones."""

from typing import Any

HEADER = "healthie-graphql-api-version"
PUBLISHED = (
    "2024-06-01", "2024-07-01", "2024-10-01", "2024-10-20", "2024-11-01", "2025-01-01", "2025-04-01", "2025-05-15",
    "2025-07-31", "2025-10-15", "2025-11-30", "2026-01-01", "2026-07-01",
)  # fmt: skip
MINIMUM, LATEST, SUNSET = "2026-07-01", "2026-07-01", "2027-01-31"


def rejection(version: str | None, *, is_after_sunset: bool) -> dict[str, Any] | None:
    """Return the error of a request that may not be served, or None."""
    if version is not None and version not in PUBLISHED:
        return _error("UNSUPPORTED_API_VERSION", f"API version {version} is not supported.", version)
    if not is_after_sunset or (version is not None and version >= MINIMUM):
        return None
    if version is None:
        return _error("MISSING_API_VERSION_HEADER", "The Healthie-GraphQL-API-Version header is required.", None)
    return _error("UNSUPPORTED_API_VERSION", f"API version {version} is no longer supported.", version)


def warnings(version: str | None) -> list[dict[str, Any]]:
    """Return what every answer on an old version, or on none, carries in its extensions."""
    if version is None:
        message = f"Requests without the Healthie-GraphQL-API-Version header will be rejected from {SUNSET}."
        return [
            {"code": "MISSING_API_VERSION_HEADER", "message": message, "sunset_date": SUNSET, "latest_version": LATEST}
        ]
    if version >= MINIMUM:
        return []
    return [
        {
            "code": "API_VERSION_SUNSET_WARNING",
            "message": f"API version {version} will be rejected from {SUNSET}. Please move to {LATEST}.",
            "requested_version": version,
            "sunset_date": SUNSET,
            "latest_version": LATEST,
        }
    ]


def _error(code: str, message: str, version: str | None) -> dict[str, Any]:
    about = {"code": code, "minimum_supported_version": MINIMUM, "latest_version": LATEST}
    return {"message": message, "extensions": about | ({"requested_version": version} if version else {})}
