"""The work: data, embeddings, models, training, and the store, queue and reports that keep and show it."""
