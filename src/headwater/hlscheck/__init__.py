"""A validator of the low-latency HLS rules, for anybody's stream."""
