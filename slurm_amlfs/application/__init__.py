"""The loop that reads the world, lets the domain decide, and hands the acts to the ports."""
