"""Where runs go: an executor starts them, says whether they live, stops them, and tells how they ended."""
