"""What a model's files tell without running it, and the contract proposed from that."""
