"""Models in this process: chat templates, loading, devices and numbers, batches, the text embedder.

local.py          loads tokenizers, causal models, encoders and classifiers
device.py         where a model runs, and in which numbers
source.py         which model a stage reads
positions.py      how many tokens a model has places for

chat.py           messages to token ids, with a mask of what the assistant says
rendering.py      a conversation as the text of its chat template
conversations.py  FastChat's conversation templates as chat templates
wrapping.py       a preamble inside the user turn

batches.py        losses, logits and hidden states of many rows
gradients.py      projected gradients of an adapter, row by row
epochs.py         the epochs that a training kept
reading.py        rows read by a model, in this process or in another
parallel.py       several processes that read
ray_readers.py    the same on the machines of a Ray cluster
embedder.py       the text embedder
onednn.py         its linear layers on a CPU
embedded.py       the vectors of a pool
lengths.py        how long responses are

expected.py       what a stage will have a model read, before it does
flops.py          what models computed
speed.py          how long passes will take on this machine
"""
