"""Naming clusters by marker genes."""
