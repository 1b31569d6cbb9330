"""Which networks there are, and their verified files on this disk."""
