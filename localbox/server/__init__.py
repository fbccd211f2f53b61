"""E2B's wire protocol on top of `AsyncSandbox`, so that E2B's own SDKs run against this machine.

Guards nothing that the walls guard: a request becomes a call of the public interface, and no path
that a client names is ever resolved out here.
"""
