"""What is read first: headline figures as tiles, and whether the numbers can be trusted, as a strip of chips."""

from healthie_nb.tiles.forms import forms
from healthie_nb.tiles.retention import retention
from healthie_nb.tiles.tile import Tile, Tiles
from healthie_nb.tiles.trust import Trust, trust
from healthie_nb.tiles.volume import volume

__all__ = ["Tile", "Tiles", "Trust", "forms", "retention", "trust", "volume"]
