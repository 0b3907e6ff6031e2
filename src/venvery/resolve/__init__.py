"""Requirements to a lock. Pure: no input or output, no clock, no globals."""
