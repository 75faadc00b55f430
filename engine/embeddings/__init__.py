"""From LLM vectors to the initial item table: alignment, co-occurrence graph, PCA and Rec-PCA, cache."""
