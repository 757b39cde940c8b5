"""ISO BMFF boxes: init segments, fragments, and reading them back."""
