"""Chat platforms: each edge against a local stand-in of its service, and the stand-ins themselves."""
