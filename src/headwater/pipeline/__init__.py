"""The way of the data, a stage a folder; `livestream` wires them."""
