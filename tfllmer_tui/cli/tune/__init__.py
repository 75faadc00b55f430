"""tfllmer tune: settings of arms searched with one budget and one space."""
