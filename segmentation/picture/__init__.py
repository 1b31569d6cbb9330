"""Pictures from files, and cutouts to files."""
