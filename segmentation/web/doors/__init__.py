"""Doors that other tools' clients already know, over the same runs, queue and limits as the page. Closed by default."""
