"""What both fronts show, ready to draw: typed records made by plain functions of the store, of presets and of rows.

Nothing here knows a terminal: no Rich, no Textual, no Typer. A front draws what it is handed, and neither folds,
plans nor tests by itself. What a screen needs before it has read anything (`folds`, `runs`, `words`) imports neither
the store nor the specification.
"""
