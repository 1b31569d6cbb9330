"""Files to pictures, and cutouts to files."""
