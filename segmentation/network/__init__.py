"""A picture through a network: probability maps, and who computed them."""
