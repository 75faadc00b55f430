"""Parts of a specification from a few words, for tests that try many kinds."""

from typing import Any

from engine.presets.files import Setting
from engine.presets.layers import Layer, merge, tree_of
from engine.spec import Data, Embedding, Files, Table, names_by_word


def embedding_of(**words: Any) -> Embedding:
    """The part `embedding` with kinds and single settings by the last word of their names (`lambda_` for lambda); what
    the chosen kinds do not have is left out."""
    return Embedding.model_validate(_tree("embedding", words))


def table_of(**words: Any) -> Table:
    """The part `table`, in the same way."""
    return Table.model_validate(_tree("table", words))


def _tree(part: str, words: dict[str, Any]) -> Any:
    settings = {
        name: Setting(value, "test")
        for word, value in words.items()
        for name in names_by_word()[word.rstrip("_")]
        if name.startswith(f"{part}.")
    }
    return tree_of(merge([Layer(settings, firm=False)]).settings).get(part, {})


def files_at(name: str, path: Any, **settings: Any) -> Data:
    """The part `data` of the files in a folder."""
    return Data(source=Files(name=name, path=str(path)), **settings)
