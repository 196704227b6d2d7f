"""The real ways to the world outside, one module for each."""
