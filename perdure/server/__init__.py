"""Who watches: the wire, the picture and the page."""
