"""Loops compiled by numba, each for arrays of one type."""
