"""Item text to vectors: template, encoder, shards, one safetensors file."""
