"""The screens that a researcher keeps open all day: a Textual app over the store and the queue.

`watch` reads the store in a thread of its own and hands over snapshots; `screens` show them; whatever
changes something is in `actions` and runs in a thread. Nothing here imports torch.
"""
