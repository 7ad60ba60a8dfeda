"""From a picture to rows of features: where it is looked at, how resized, by which network."""
