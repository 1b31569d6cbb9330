"""Measures cutouts against true mattes."""
