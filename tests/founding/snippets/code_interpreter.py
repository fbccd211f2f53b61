from localbox import CodeInterpreter

# Create interpreter sandbox
with CodeInterpreter() as interpreter:
    # Execute code with rich output
    result = interpreter.notebook.exec_cell("""
    import pandas as pd
    import numpy as np
    
    # Create sample data
    data = {
        'Product': ['A', 'B', 'C', 'D'],
        'Sales': [100, 150, 200, 175],
        'Profit': [20, 35, 45, 30]
    }
    df = pd.DataFrame(data)
    
    # Display
    print(df)
    df.describe()
    """)
    
    print(result.text)
    print(result.data)  # Structured output
