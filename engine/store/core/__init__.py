"""The file itself: tables, opening, migrating, backing up."""
