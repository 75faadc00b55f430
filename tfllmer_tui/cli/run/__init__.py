"""Training in the foreground: run, resume, reproduce, and what is seen meanwhile."""
