"""The images: MNIST, the small digits, splits, normalisation, augmentation."""
