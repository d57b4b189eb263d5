"""Scenes: a factory takes a size and a seed, paints its layers once, and gives back `paint(t) -> picture`."""
