"""Tests of the stall rules."""
