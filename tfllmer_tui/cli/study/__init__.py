"""Studies: grids of runs from files, queued and watched as a whole."""
