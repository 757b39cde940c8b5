"""What flows: tracks, access units, codec configurations, CMAF outputs. Pure."""
