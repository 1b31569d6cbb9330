"""What a GPU changes: whether one works, how it is given its work, and what happens when its memory is short."""
