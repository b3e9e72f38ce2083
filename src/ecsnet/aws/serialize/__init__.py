"""Replies to bytes, one module per wire protocol; shapes are compiled into closures once per operation."""
