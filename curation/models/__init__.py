"""Scorers and captioners. Heavy libraries are imported inside them; weights are never assumed."""
