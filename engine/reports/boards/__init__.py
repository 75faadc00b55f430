"""Runs side by side: leaderboards over seeds, arms, folds, comparisons, dose-response."""
