"""What a table has to do with the item graph: smoothness, spectra, edges, communities."""
