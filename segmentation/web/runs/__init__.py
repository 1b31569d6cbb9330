"""What is done for a visitor: runs, their kept predictions and previews, and whose turn it is."""
