# Start a Jupyter kernel in E2B
proc = sandbox.process.start(
    "jupyter kernel --kernel=python3",
    background=True
)

# Connect to kernel
kernel_info = json.loads(proc.stdout)
kernel_url = f"ws://localhost:{kernel_info['port']}"

# Send code to kernel
# ... WebSocket communication ...
