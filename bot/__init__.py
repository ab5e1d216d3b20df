"""What runs: people ask and press, time sweeps, managers read."""
