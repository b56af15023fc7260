"""A running practice: its world, its settings, and the listings it has already worked out."""

import json
from collections import OrderedDict
from collections.abc import Mapping
from random import Random
from typing import Any

import polars as pl

from healthie_nb.demo.edits import random_edit
from healthie_nb.demo.listings import LISTINGS, listed
from healthie_nb.demo.paging import cursor, page
from healthie_nb.demo.rows import Row, Wanted, rows
from healthie_nb.demo.settings import Settings
from healthie_nb.demo.world import World

REMEMBERED = 64
_PAGING = ("first", "last", "after", "before")


class RunningPractice:
    """What the resolvers ask. It lives as long as the server; `settings` may be replaced while it runs."""

    def __init__(self, world: World, settings: Settings) -> None:
        self.world, self.settings = world, settings
        self.pages_served = 0
        self._listings: OrderedDict[tuple[str, str, int], pl.DataFrame] = OrderedDict()
        self._chance = Random(settings.fault_seed)

    def connection(self, field: str, given: Mapping[str, Any], wanted: Wanted) -> Row:
        """Return the answer of a connection field, holding what is wanted of it."""
        self._live_edit()
        listing = self._listing(field, given)
        one = page(listing.height, given)
        answer: Row = {"total_count": one.total, "page_info": one.info()}
        if "nodes" in wanted:
            answer["nodes"] = self._nodes(field, listing[one.start : one.end], wanted["nodes"])
        if "edges" in wanted:
            nodes = self._nodes(field, listing[one.start : one.end], wanted["edges"].get("node", {}))
            answer["edges"] = [{"cursor": cursor(one.start + place), "node": node} for place, node in enumerate(nodes)]
        return answer

    def _nodes(self, field: str, frame: pl.DataFrame, wanted: Wanted) -> list[Row | None]:
        nodes = rows(self.world, LISTINGS[field].table, frame, wanted)
        every = self.settings.null_every
        return [None if every and int(node["id"]) % every == 0 else node for node in nodes]

    def _listing(self, field: str, given: Mapping[str, Any]) -> pl.DataFrame:
        """Return the whole listing, remembered until its table changes: the next page is then a slice."""
        listing = LISTINGS[field]
        asked = json.dumps({name: value for name, value in given.items() if name not in _PAGING}, sort_keys=True)
        key = (field, f"{self.settings.requests_per_client}{asked}", self.world.revisions[listing.table])
        if key not in self._listings:
            self._listings[key] = listed(listing, self.world, self.settings, given)
        self._listings.move_to_end(key)
        while len(self._listings) > REMEMBERED:
            self._listings.popitem(last=False)
        return self._listings[key]

    def _live_edit(self) -> None:
        self.pages_served += 1
        if self.settings.edit_every and self.pages_served % self.settings.edit_every == 0:
            random_edit(self.world, self._chance)
