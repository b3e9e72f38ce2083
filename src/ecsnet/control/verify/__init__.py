"""`verify`: every pair of interfaces is asked by real packets, and `reach` about the same packets. Do they agree?

questions.py  pure: the parties, the services, the pairs
matrix.py     pure: two answers to each question, as one matrix
run.py        batches to the prober, their comparison in a thread, and a second look at what differs
page.py       POST /_ecsnet/verify
"""
