"""ISO base media file format (ISO/IEC 14496-12) as CMAF uses it: init segments, fragments, and a bounded reader."""
