"""Computing on a GPU: whether one works, how to run on it, and what happens when it runs out of memory."""
