"""Networks from lists of layers, and the budget that a network must keep to."""
