"""Candidates answer questions, and judges compare the answers; both through `tacos.llm`.

candidate.py    who answers: weights in this process, or a server
asking.py       what is asked, in which order, with which seed
answers.py      answer files in and out
answer_file.py  answering into a file, which goes on after a kill
presets.py      how others had models answer
given.py        answer files that a user gives
faults.py       empty, failed, repeated and cut answers
heldout.py      the loss of a model on held-out samples
judge.py        grades of two answers to one question
orders.py       two orders of one pair, one result
"""
