"""What the runs say about the claim, what explains it, and whether a run can be rebuilt."""
