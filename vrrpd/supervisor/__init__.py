"""The parent process: starts the speaker, restarts it, and answers on the control socket.

It has no event loop of asyncio's, because it forks: one thread, one selector, nothing that a child would inherit half
done. What a speaker needs is imported here once, so that a new one is at work milliseconds after the fork.
"""
