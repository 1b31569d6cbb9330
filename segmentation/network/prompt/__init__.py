"""Promptable networks: a picture's embedding, points and a box -> the probability map of what was pointed at."""
