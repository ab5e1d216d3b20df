"""What is known: SOPs in, quoted steps out. The public surface is `knowledge.library`."""
