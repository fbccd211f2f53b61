from localbox import Sandbox
import os

# Set API key
os.environ["E2B_API_KEY"] = "your-api-key"

# Or pass directly
sandbox = Sandbox(api_key="your-api-key")
