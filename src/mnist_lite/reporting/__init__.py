"""Text and pictures from plain values."""
