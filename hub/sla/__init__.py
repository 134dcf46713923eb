"""Promises looked at by people: explained, recomputed, and judged anew under other policies."""
