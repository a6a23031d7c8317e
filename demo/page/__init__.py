"""What a visitor sees: the Gradio page, the answers as HTML, and the texts."""
