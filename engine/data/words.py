"""Words of the generated items' text: one theme per semantic cluster."""

THEMES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    # genre, adjectives, nouns
    ("space opera", ("Distant", "Orbital", "Burning"), ("Nebula", "Armada", "Starship", "Comet", "Outpost")),
    ("courtroom drama", ("Hostile", "Silent", "Final"), ("Verdict", "Witness", "Juror", "Appeal", "Testimony")),
    ("ghost story", ("Haunted", "Pale", "Hollow"), ("Manor", "Seance", "Whisper", "Crypt", "Lantern")),
    ("sea adventure", ("Salted", "Stormy", "Lost"), ("Schooner", "Harbour", "Lagoon", "Mutiny", "Tide")),
    ("heist thriller", ("Perfect", "Midnight", "Double"), ("Vault", "Getaway", "Decoy", "Safe", "Forger")),
    ("western", ("Dusty", "Lonesome", "Iron"), ("Saloon", "Canyon", "Outlaw", "Frontier", "Stagecoach")),
    ("family animation", ("Little", "Brave", "Clumsy"), ("Hedgehog", "Balloon", "Dragonet", "Treehouse", "Penguin")),
    ("culinary documentary", ("Slow", "Golden", "Wild"), ("Kitchen", "Sourdough", "Orchard", "Market", "Harvest")),
    (
        "romantic comedy",
        ("Accidental", "Charming", "Hopeless"),
        ("Wedding", "Valentine", "Neighbour", "Proposal", "Date"),
    ),
    ("noir mystery", ("Crooked", "Smoky", "Missing"), ("Alibi", "Detective", "Ransom", "Alley", "Dossier")),
    ("sports biography", ("Unbeaten", "Barefoot", "Golden"), ("Sprinter", "Derby", "Coach", "Marathon", "Trophy")),
    ("political satire", ("Honourable", "Borrowed", "Plastic"), ("Senator", "Ballot", "Scandal", "Cabinet", "Speech")),
    ("musical", ("Velvet", "Dancing", "Broken"), ("Encore", "Chorus", "Cabaret", "Melody", "Overture")),
    ("war epic", ("Fallen", "Muddy", "Last"), ("Battalion", "Trench", "Armistice", "Siege", "Regiment")),
    ("nature film", ("Hidden", "Frozen", "Endless"), ("Savanna", "Glacier", "Reef", "Migration", "Rainforest")),
    ("fantasy quest", ("Ancient", "Emerald", "Cursed"), ("Grimoire", "Kingdom", "Wizard", "Amulet", "Prophecy")),
)

SETTINGS = ("urban", "northern", "silent-era", "experimental", "rural", "modern")
"""Told before the genre where there are more clusters than themes."""

PLACES = (
    "Ashford", "Brinmoor", "Caldera", "Dunmere", "Elmsworth", "Farrow", "Greyholt", "Hollin", "Isenby", "Jarrow",
    "Kestrel Bay", "Larkhill", "Mirefield", "Norwick", "Oakhaven", "Pendle", "Quarrow", "Redwater", "Stonegate",
    "Thornbury",
)  # fmt: skip
