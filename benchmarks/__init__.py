"""Ratios against named peers, both sides interleaved in one run."""
