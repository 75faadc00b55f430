"""Damaged and hostile files for every reader: a short form in the suite, a long one in `campaign`."""
