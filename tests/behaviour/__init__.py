"""One suite for every chat platform: what happens at a small practice, told as its people would tell it."""
