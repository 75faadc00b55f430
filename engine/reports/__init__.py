"""What the runs say together: metrics from ranks, leaderboards over seeds, tables for papers.

Works on the records that the store hands out (plain dicts); touches neither database nor torch.
"""
