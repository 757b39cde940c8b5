"""The composition root: builds every part from Settings, starts and stops them in order."""
