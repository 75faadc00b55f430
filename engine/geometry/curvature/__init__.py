"""Curvature of the loss: of the scores, of the parameters, and its bounds."""
