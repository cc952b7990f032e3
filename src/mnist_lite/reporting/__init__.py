"""Text and pictures. Takes plain values, and returns text or the bytes of a PNG file. Only the console prints."""
