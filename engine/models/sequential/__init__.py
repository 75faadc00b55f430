"""One file per backbone. A backbone sees item vectors and their layout, never item ids."""
