"""From a picture to probability maps: loading and running networks."""
