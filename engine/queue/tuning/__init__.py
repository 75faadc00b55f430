"""Tuning: settings of arms drawn from one search space, tried as ordinary runs, chosen on the validation split alone.

`criteria` says what decides, `sampling` asks Optuna, `trials` makes runs of what is drawn and judges them.
"""
