"""Language models: one client over several backends.

base.py          the contract: Request, Completion, LLM, LLMSettings
client.py        CachedLLM (cache, ledger, cap, progress), build_llm, complete
backend.py       what a backend implements, and running calls in parallel
openai.py        any server with OpenAI's chat completions
transformers.py  a model in this process
sampling.py      seeded draws, row by row, for transformers.py
scripted.py      answers from a function, for tests
cache.py         paid replies in SQLite
spend.py         estimates and the hard cap
parse.py         scores and tags out of a reply
"""
