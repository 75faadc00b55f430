"""What finished runs say: leaderboards, comparisons, the verdict, tables and figures for papers."""
