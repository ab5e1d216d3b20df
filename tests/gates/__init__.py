"""What a payload must pass before any test lets it leave."""
