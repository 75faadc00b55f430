"""What screens are made of. Each widget is told what to show; none reads the store."""
