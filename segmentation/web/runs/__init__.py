"""A visitor's runs, their cached predictions and previews, and the order in which runs take turns."""
