"""Language models: one client over several backends.

base.py          the contract: Request, Completion, Reply, LLM
settings.py      what names a model, and how it is run
build.py         build_llm, make_backend: a client for the settings of a model
client.py        CachedLLM (cache, ledger, cap, progress), collect, complete, wait_for
window.py        a few of many requests, read ahead and asked
failures.py      when too many fail, or cannot be read
meter.py         a progress bar, or lines in the log
backend.py       what a backend implements, and running calls in parallel
request_key.py   the name of a question, under which its reply is kept
cache.py         paid replies in SQLite
cache_file.py    how that file is made and opened
salvage.py       what can still be read of a damaged one
spend.py         what was used, and the hard cap
bill.py          what the cap holds for: spent and in flight, shared by processes
estimate.py      what a stage will use, before it is paid
prices.py        dated prices, of prices.yaml and of the user's own file
keys.py          where the API key comes from
reasoning.py     what a model says, apart from what it thinks aloud
verdict.py       which of the verdicts in a reply is the verdict
parse.py         scores and tags out of a reply
reading.py       asking until a reply can be read
asking.py        which model, with which words, drawn how, asked how often again
anew.py          the same questions once more, for test and retest
batch_files.py   calls as files for half the price, and their results
probe.py         how fast a server is, and whether it is there

backends/, where a model runs, and what each needs beside it:

openai.py        any server with OpenAI's chat completions
outgoing.py      what it is sent: body, URL, headers
wire.py          what it sends back, read
decode.py        JSON as servers write it
call_errors.py   calls that brought nothing: in whose words, whether to try again
hints.py         the setting that helps
network.py       proxies and certificates
endpoints.py     which server is next: load, 429s, servers that are gone
deadlines.py     one time limit for many calls
transformers.py  a model in this process
vllm.py          the same by vLLM
prompts.py       a request laid out, for the two above
ray.py           any of these on many machines
ray_actors.py    what is known of one, and whether it answers as this process would
worker.py        what each of them runs
engine.py        the one vLLM engine of a process
sampling.py      seeded draws, row by row, for transformers.py
scripted.py      answers from a function, for tests
recorded.py      what the cache holds and nothing else, for replays
"""
