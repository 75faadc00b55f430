"""The queue by hand, and the worker that drains it."""
