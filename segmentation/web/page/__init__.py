"""What a visitor sees and turns: layout, handlers, scripts and style."""
