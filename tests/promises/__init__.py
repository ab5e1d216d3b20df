"""The promises: each of them kept by the whole, on stand-ins that go wrong as networks and chat services do."""
