"""Results on paper: LaTeX, figures, Markdown, CSV, JSON."""
