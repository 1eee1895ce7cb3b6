"""Log lines as JSON with the ids of what they are about, their settings at run time, and where they are sent."""
