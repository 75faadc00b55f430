"""Interactions as people have them -> NAME.inter: tables, pairs, sequences, histories, given splits.

Everything is read as text; what is written is read by `engine.data.atomic`. A file appears whole or not at all.
"""

from engine.data.imports.write import Import, import_data

__all__ = ["Import", "import_data"]
