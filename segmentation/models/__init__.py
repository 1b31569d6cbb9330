"""The available networks, and their verified files on this disk."""
