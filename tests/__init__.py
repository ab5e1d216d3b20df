"""The suite, the fakes it shares, and the tools of `make docs` and `make bench`."""
