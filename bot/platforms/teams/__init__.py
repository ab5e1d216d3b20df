"""Microsoft Teams: the edge that turns activities into Heard and Cards into Adaptive Cards."""
