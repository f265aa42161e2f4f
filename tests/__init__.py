"""Tests, and the random networks and fuzzing that they share."""
