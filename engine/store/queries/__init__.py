"""What lists and screens ask: records, filters, documents, what has changed since."""
