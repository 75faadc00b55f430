"""Classes of items, by what a field of their file says."""

from __future__ import annotations

import numpy as np

from engine import spec
from engine.data import Dataset
from engine.data.arrays import IntArray
from engine.errors import UserError

_USUAL = ("categories", "category", "genres", "genre", "class")


def item_classes(dataset: Dataset, settings: spec.LDA) -> IntArray:
    """[n] numbers from 0 on, in alphabetical order of the classes' names; items of which the field says nothing are one
    class. Raises UserError where there is no such field, or fewer than two classes."""
    fields = dataset.item_fields
    name = settings.field or next((usual for usual in _USUAL if usual in fields), None)
    if name is None or name not in fields:
        missing = f"no field {name}" if name else "no categories of its items"
        others = ", ".join(field for field in fields if field != "item_id") or "none"
        raise UserError(
            f"{dataset.name}: {missing} for embedding.reduce=lda; set embedding.reduce.field to a field of .item "
            f"(there are: {others})"
        )
    texts = fields[name]
    if settings.categories != "whole":
        place = 0 if settings.categories == "first" else -1
        texts = [text.split(",")[place].strip() for text in texts]
    names, classes = np.unique(texts, return_inverse=True)
    if len(names) < 2:
        raise UserError(f"{dataset.name}: all items are of one class by field {name}; choose another reduction")
    return classes.astype(np.int64)
