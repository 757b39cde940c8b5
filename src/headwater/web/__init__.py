"""The pages that a person opens: the player."""
