"""What a table of item vectors is like by itself: norms, angles, second moments, angular clusters."""
