"""What the databases that can hold a store say differently, in one place: everything above speaks through it."""
