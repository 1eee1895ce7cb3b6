"""What is measured, each figure against a floor taken in the same run."""
