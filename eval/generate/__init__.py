"""Answers to questions: with transformers, vLLM, or a server; held-out loss."""
