"""Numbers from numbers: metrics per user from ranks, intervals, paired tests and their corrections."""
