"""Answers handed over to other tools: tables, arrays, clips."""
