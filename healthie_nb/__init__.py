"""Healthie's GraphQL API as polars frames, and the metrics that the notebooks are built on."""
