"""Loops compiled by numba, for arrays of one type each."""
