from localbox import Sandbox

# Create a sandbox
sandbox = Sandbox()

# Create with specific template
sandbox = Sandbox(template="python-data-analysis")

# Sandbox lifecycle
try:
    # Use sandbox
    result = sandbox.process.start_and_wait("python script.py")
finally:
    # Always cleanup
    sandbox.close()

# Context manager pattern
with Sandbox() as sandbox:
    result = sandbox.process.start_and_wait("python script.py")
