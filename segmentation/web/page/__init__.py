"""What visitors see and use: layout, handlers, scripts and styles."""
