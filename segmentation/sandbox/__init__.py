"""Runs code on data that nobody vouches for, in a process of its own."""
