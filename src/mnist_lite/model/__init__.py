"""Networks from lists of layers, and what a network must keep to."""
