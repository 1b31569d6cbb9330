"""What strangers may send, store and ask for."""
