"""What explains a training curve before and during training: norms, angles, curvature, and the graph that the
vectors do or do not follow (docs/method.md D.2, F). Numbers only; `report` puts them together.
"""
