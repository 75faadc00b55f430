"""Models with a closed form: fitted once, without epochs. One file a model."""
