"""mnist-lite: design, train, compare and understand small CNNs on MNIST."""

__version__ = "0.1.0"
