# Create custom template with specific packages
template_config = {
    "dockerfile": """
    FROM python:3.11
    RUN pip install pandas numpy matplotlib seaborn openpyxl xlwings
    RUN pip install scikit-learn statsmodels
    WORKDIR /workspace
    """,
    "name": "excel-analysis-env"
}

# Use custom template
sandbox = Sandbox(template="excel-analysis-env")
