"""Real clients in a real browser: somebody else's Slack and Teams pages on this machine, driven as a person drives them."""
