"""A recipe of one's own: all three parts are named in the config.

{method: recipe, group: {by: embedding}, score: {by: file, path: scores.parquet}, allocate: {by: per_group}}
"""

from __future__ import annotations

from tacos.methods.base import METHODS, Method

METHODS.register("recipe")(Method("recipe", "the three parts that the config names", parts="any"))
