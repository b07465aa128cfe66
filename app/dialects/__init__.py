"""The downstream edge: one file for each wire protocol that callers speak."""
