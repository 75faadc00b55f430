"""What the runs say together: metrics from ranks, leaderboards over seeds, statistics, verdicts, tables, figures.

Works on the records that the store hands out; only `evidence` asks the store itself, nothing imports torch.
"""
