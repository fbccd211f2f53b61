# Execute Python code
python_code = """
import pandas as pd
import matplotlib.pyplot as plt

# Load Excel file
df = pd.read_excel('/tmp/data.xlsx')
print(f"Loaded {len(df)} rows")

# Create visualization
df.plot(kind='bar')
plt.savefig('/tmp/output.png')
"""

# Run code
proc = sandbox.process.start_and_wait(
    cmd=f"python -c '{python_code}'",
    timeout=30
)

print(proc.stdout)
print(proc.stderr)
