"""Which contract of an unregistered model fits a picture best."""
